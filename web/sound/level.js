// The gain that follows the voice: fast up, slowly down, steady in pauses. `Running` in
// denoiser/stream.py, constant by constant; its tests and the reasons are there.
import { HOP, RATE } from "./dsp.js";

const LEVEL = 10 ** (-26 / 20); // RMS of the voice before the network
export const BEYOND_SPEECH = 10; // 46 dB above that level: what is louder is cut off
const [UP, DOWN, PAUSE] = [0.3, 3, 30].map((seconds) => 1 - Math.exp(-HOP / RATE / seconds));
const FIRST = 4; // times the power first heard, which is noise more often
const GATE = 0.1; // of the level's power: below it is a pause
const SILENT_POWER = 10 ** -7.5; // -75 dBFS: below it nothing is to be heard of a voice

export class Leveller {
  constructor() {
    this.recent = []; // powers of the last three hops, of which the median counts: a click does not
    this.level = 0; // power of the voice; 0 before anything was heard
    this.gain = 1;
  }

  // A hop, one array of up to 768 samples a channel -> the gain of each sample, for all channels
  gains(hop) {
    this.recent = [...this.recent.slice(-2), Math.max(...hop.map(variance))];
    const sorted = [...this.recent].sort((a, b) => a - b);
    this.follow(sorted[(sorted.length - 1) >> 1]);
    const before = this.gain, count = hop[0].length;
    if (this.level) this.gain = LEVEL / Math.sqrt(this.level);
    return Float32Array.from(hop[0], (_, n) => before + ((n + 1) / count) * (this.gain - before));
  }

  follow(power) {
    if (power < SILENT_POWER) return;
    if (!this.level) this.level = FIRST * power;
    else if (power > this.level) this.level += (power - this.level) * UP;
    else if (power > this.level * GATE) this.level += (power - this.level) * DOWN;
    else this.level *= 1 - PAUSE;
  }
}

function variance(wave) {
  let sum = 0, squares = 0;
  for (const x of wave) sum += x;
  const mean = sum / wave.length;
  for (const x of wave) squares += (x - mean) ** 2;
  return squares / wave.length;
}
