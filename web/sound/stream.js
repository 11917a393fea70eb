// Sound through the network, hop after hop: `Stream` of the Python package at 48 kHz.
import { BINS, Frames, HOP } from "./dsp.js";
import { BEYOND_SPEECH, Leveller } from "./level.js";

export class Stream {
  constructor(network, channels) {
    this.leveller = new Leveller();
    this.channels = Array.from({ length: channels }, () => new Channel(network));
    this.before = null; // the hop whose enhanced samples come out next, and its gains
  }

  // A hop, one array of 768 samples a channel (the last may be shorter) -> the hop before it as
  // { noisy, enhanced }, or null for the first
  async push(hop) {
    const { before } = this, gains = this.leveller.gains(hop);
    this.before = { noisy: hop, gains };
    const waves = await this.run(hop.map((wave) => levelled(wave, gains)));
    return before && { noisy: before.noisy, enhanced: waves.map((wave) => divided(wave, before.gains)) };
  }

  // What is still held back: the last hop, or null
  async flush() {
    if (!this.before) return null;
    const { noisy, gains } = this.before, silence = new Float32Array(HOP);
    this.before = null;
    const waves = await this.run(noisy.map(() => silence));
    return { noisy, enhanced: waves.map((wave) => divided(wave, gains)) };
  }

  async run(hop) {
    const waves = [];
    for (const [c, channel] of this.channels.entries()) waves.push(await channel.next(hop[c]));
    return waves;
  }
}

class Channel {
  constructor(network) {
    this.network = network;
    this.frames = new Frames();
    this.states = network.states();
    this.spectrum = new Float32Array(2 * BINS); // enhanced, of the last frame
  }

  async next(hop) {
    const silent = this.frames.analyse(hop);
    const { spectrum, states } = await this.network.run(this.frames.spectrum, silent, this.states);
    this.states = states;
    this.spectrum = spectrum;
    return this.frames.synthesise(spectrum);
  }
}

function levelled(wave, gains) {
  const out = new Float32Array(HOP);
  for (let n = 0; n < wave.length; n++)
    out[n] = Math.max(-BEYOND_SPEECH, Math.min(BEYOND_SPEECH, Math.fround(wave[n] * gains[n])));
  return out;
}

const divided = (wave, gains) => gains.map((gain, n) => wave[n] / gain);
