// A WAV of 24 bit, piece by piece: what is packed lies in blobs, which browsers keep on the disk.
import { RATE } from "./dsp.js";

const HEADER = 44; // bytes
const PIECE = 3 * 2 ** 18; // bytes of one blob

export class Wav {
  constructor(channels) {
    this.channels = channels;
    this.blobs = [];
    this.piece = new Uint8Array(PIECE);
    this.used = 0; // bytes of the piece
  }

  get seconds() {
    return (this.blobs.length * PIECE + this.used) / 3 / this.channels / RATE;
  }

  // One array of as many samples a channel
  add(waves) {
    for (let n = 0; n < waves[0].length; n++) for (const wave of waves) this.put(wave[n]);
  }

  put(sample) {
    const value = Math.max(-0x800000, Math.min(0x7fffff, Math.round(sample * 0x800000)));
    this.piece[this.used++] = value;
    this.piece[this.used++] = value >> 8;
    this.piece[this.used++] = value >> 16;
    if (this.used < PIECE) return;
    this.blobs.push(new Blob([this.piece]));
    this.used = 0;
  }

  // All of it so far
  blob() {
    const rest = this.piece.slice(0, this.used), bytes = this.blobs.length * PIECE + this.used;
    const pad = new Uint8Array(bytes % 2);
    return new Blob([this.header(bytes), ...this.blobs, rest, pad], { type: "audio/wav" });
  }

  header(bytes) {
    const view = new DataView(new ArrayBuffer(HEADER)), frame = 3 * this.channels;
    const text = (at, letters) => [...letters].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
    text(0, "RIFF");
    view.setUint32(4, HEADER - 8 + bytes + (bytes % 2), true);
    text(8, "WAVEfmt ");
    view.setUint32(16, 16, true);
    view.setUint16(20, 1, true); // integers
    view.setUint16(22, this.channels, true);
    view.setUint32(24, RATE, true);
    view.setUint32(28, RATE * frame, true);
    view.setUint16(32, frame, true);
    view.setUint16(34, 24, true);
    text(36, "data");
    view.setUint32(40, bytes, true);
    return view.buffer;
  }
}

// What strength means: 0 the original, 1 cleaned
export const mixed = (noisy, enhanced, strength) =>
  noisy.map((sample, n) => sample + strength * (enhanced[n] - sample));
