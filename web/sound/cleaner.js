// A file without an upload: decoded by the browser to 48 kHz, then cleaned in a worker, piece by piece.
import { HOP, RATE } from "./dsp.js";
import { startWorker } from "./engine.js";
import { Trouble } from "./trouble.js";

export const MOST_MINUTES = 30; // two hours of channels at most lie in memory, before and after
const MOST_BYTES = 1e9;
const PIECE = 125 * HOP; // 2 s

// -> an AudioBuffer. Throws Trouble for what is too large, or in a codec that the browser lacks.
export async function decode(file) {
  const large = new Trouble("large", { name: file.name, minutes: MOST_MINUTES });
  if (file.size > MOST_BYTES || (await secondsOf(file)) > 60 * MOST_MINUTES) throw large;
  let audio;
  try {
    audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
  } catch (error) {
    throw error instanceof RangeError ? large : new Trouble("codec", { name: file.name });
  }
  if (audio.duration > 60 * MOST_MINUTES) throw large;
  return audio;
}

// As the file's own header says; 0 where the browser cannot tell
function secondsOf(file) {
  return new Promise((resolve) => {
    const player = document.createElement("audio"), address = URL.createObjectURL(file);
    const answer = (seconds) => {
      URL.revokeObjectURL(address);
      resolve(Number.isFinite(seconds) ? seconds : 0);
    };
    player.onloadedmetadata = () => answer(player.duration);
    player.onerror = () => answer(0);
    player.preload = "metadata";
    player.src = address;
  });
}

// One file at a time
export class Cleaner {
  constructor() {
    this.worker = null;
    this.settle = null; // of what is waited for: { resolve, reject }
  }

  // AudioBuffer -> one of the same shape; `progress` gets the share that is done. Each channel has
  // states of its own, all have one level; two channels of the same samples are cleaned once.
  async clean(audio, progress) {
    this.worker ??= await startWorker((data) => this.told(data));
    const enhanced = new AudioBuffer({ numberOfChannels: audio.numberOfChannels, length: audio.length, sampleRate: RATE });
    const waves = distinct(audio);
    this.worker.postMessage({ file: waves.length });
    for (let start = 0, done = 0; start < audio.length; start += PIECE) {
      const piece = waves.map((wave) => wave.slice(start, start + PIECE));
      const out = await this.ask({ piece, last: start + PIECE >= audio.length });
      for (let c = 0; c < audio.numberOfChannels; c++) enhanced.copyToChannel(out[Math.min(c, out.length - 1)], c, done);
      done += out[0].length;
      progress(done / audio.length);
    }
    return enhanced;
  }

  // Ends what runs: clean() throws null
  cancel() {
    this.worker?.terminate();
    this.worker = null;
    this.settle?.reject(null);
  }

  ask(message) {
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
      this.worker.postMessage(message, message.piece.map((wave) => wave.buffer));
    });
  }

  told({ enhanced, trouble }) {
    if (!trouble) return this.settle.resolve(enhanced);
    this.settle?.reject(new Trouble(trouble.key, trouble.values));
    this.cancel();
  }
}

function distinct(audio) {
  const waves = Array.from({ length: audio.numberOfChannels }, (_, c) => audio.getChannelData(c));
  return waves.every((wave) => wave.every((sample, n) => sample === waves[0][n])) ? [waves[0]] : waves;
}
