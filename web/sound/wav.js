// A WAV piece by piece: what is packed lies in blobs, which browsers keep on the disk. 24 bit, or
// 32 bit float for what exceeds full scale.
import { RATE } from "./dsp.js";

const HEADER = 44; // bytes
const PIECE = 3 * 2 ** 18; // bytes of one blob, whole samples of either kind
const INTEGERS = 1, FLOATS = 3; // the format's own numbers

export class Wav {
  constructor(channels, float = false) {
    Object.assign(this, { channels, float, width: float ? 4 : 3 });
    this.blobs = [];
    this.piece = new DataView(new ArrayBuffer(PIECE));
    this.used = 0; // bytes of the piece
  }

  get bytes() {
    return this.blobs.length * PIECE + this.used;
  }

  get seconds() {
    return this.bytes / this.width / this.channels / RATE;
  }

  // One array of as many samples a channel
  add(waves) {
    for (let n = 0; n < waves[0].length; n++) for (const wave of waves) this.put(wave[n]);
  }

  put(sample) {
    if (this.float) this.piece.setFloat32(this.used, sample, true);
    else {
      const value = Math.max(-0x800000, Math.min(0x7fffff, Math.round(sample * 0x800000)));
      this.piece.setUint16(this.used, value & 0xffff, true);
      this.piece.setInt8(this.used + 2, value >> 16);
    }
    this.used += this.width;
    if (this.used < PIECE) return;
    this.blobs.push(new Blob([this.piece]));
    this.used = 0;
  }

  // All of it so far
  blob() {
    const rest = this.piece.buffer.slice(0, this.used), pad = new Uint8Array(this.bytes % 2);
    return new Blob([this.header(), ...this.blobs, rest, pad], { type: "audio/wav" });
  }

  header() {
    const view = new DataView(new ArrayBuffer(HEADER)), frame = this.width * this.channels;
    const text = (at, letters) => [...letters].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
    text(0, "RIFF");
    view.setUint32(4, HEADER - 8 + this.bytes + (this.bytes % 2), true);
    text(8, "WAVEfmt ");
    view.setUint32(16, 16, true);
    view.setUint16(20, this.float ? FLOATS : INTEGERS, true);
    view.setUint16(22, this.channels, true);
    view.setUint32(24, RATE, true);
    view.setUint32(28, RATE * frame, true);
    view.setUint16(32, frame, true);
    view.setUint16(34, 8 * this.width, true);
    text(36, "data");
    view.setUint32(40, this.bytes, true);
    return view.buffer;
  }
}

// What strength means: 0 the original, 1 cleaned
export const mixed = (noisy, enhanced, strength) =>
  noisy.map((sample, n) => sample + strength * (enhanced[n] - sample));

// Two AudioBuffers of one length, mixed -> a WAV as a blob
export function wavOf(noisy, enhanced, strength) {
  const channels = Array.from({ length: noisy.numberOfChannels }, (_, c) => c);
  const waves = channels.map((c) => [noisy.getChannelData(c), enhanced.getChannelData(c)]);
  const beyond = waves.flat().some((wave) => wave.some((sample) => Math.abs(sample) > 1));
  const wav = new Wav(channels.length, beyond);
  for (let start = 0; start < noisy.length; start += RATE)
    wav.add(waves.map((sides) => mixed(...sides.map((side) => side.subarray(start, start + RATE)), strength)));
  return wav.blob();
}
