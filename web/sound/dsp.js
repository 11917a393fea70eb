// Sound on its way into the network and out of it, as denoiser/hops.py and denoiser/stream.py do it:
// the transform, the frames under their window, and the level. All at 48 kHz, in hops of 16 ms.
export const RATE = 48000; // Hz
export const HOP = 768; // samples
export const BINS = HOP + 1;
const FRAME = 2 * HOP;
const SILENT_POWER = 1e-8; // of a frame, -80 dBFS: below it the network's states stay as they are

// The transform of 1536 = 3 x 512 real samples: three of 512 points by halves, then joined.
export class FFT {
  constructor(size = FRAME) {
    this.size = size;
    this.part = size / 3;
    const bits = Math.log2(this.part), angle = (2 * Math.PI) / size;
    this.cos = Float64Array.from({ length: size }, (_, k) => Math.cos(angle * k));
    this.sin = Float64Array.from({ length: size }, (_, k) => -Math.sin(angle * k));
    this.order = Uint16Array.from({ length: this.part }, (_, n) => reversed(n, bits));
    this.re = [0, 1, 2].map(() => new Float64Array(this.part));
    this.im = [0, 1, 2].map(() => new Float64Array(this.part));
  }

  // wave (size) -> spectrum (size / 2 + 1, 2): real and imaginary parts
  forward(wave, spectrum) {
    for (let n = 0; n < this.size; n++) this.put(n, wave[n], 0);
    this.parts();
    for (let k = 0; k <= this.size / 2; k++) [spectrum[2 * k], spectrum[2 * k + 1]] = this.point(k);
  }

  // spectrum (size / 2 + 1, 2) -> wave (size): the transform of the conjugate, by the size
  inverse(spectrum, wave) {
    for (let n = 0; n < this.size; n++) {
      const k = Math.min(n, this.size - n), sign = n > k ? 1 : -1;
      this.put(n, spectrum[2 * k], sign * spectrum[2 * k + 1]);
    }
    this.parts();
    for (let n = 0; n < this.size; n++) wave[n] = this.point(n)[0] / this.size;
  }

  put(n, re, im) {
    const at = this.order[Math.floor(n / 3)];
    this.re[n % 3][at] = re;
    this.im[n % 3][at] = im;
  }

  point(k) {
    const { re, im, cos, sin, size } = this, j = k % this.part, second = (2 * k) % size;
    const [c1, s1, c2, s2] = [cos[k], sin[k], cos[second], sin[second]];
    return [
      re[0][j] + c1 * re[1][j] - s1 * im[1][j] + c2 * re[2][j] - s2 * im[2][j],
      im[0][j] + c1 * im[1][j] + s1 * re[1][j] + c2 * im[2][j] + s2 * re[2][j],
    ];
  }

  parts() {
    for (let part = 0; part < 3; part++)
      for (let half = 1; half < this.part; half *= 2) this.butterflies(this.re[part], this.im[part], half);
  }

  butterflies(re, im, half) {
    const stride = this.size / (2 * half);
    for (let k = 0; k < half; k++) {
      const c = this.cos[k * stride], s = this.sin[k * stride];
      for (let a = k, b = k + half; a < this.part; a += 2 * half, b += 2 * half) {
        const x = c * re[b] - s * im[b], y = c * im[b] + s * re[b];
        [re[b], im[b]] = [re[a] - x, im[a] - y];
        re[a] += x;
        im[a] += y;
      }
    }
  }
}

function reversed(n, bits) {
  let out = 0;
  for (let bit = 0; bit < bits; bit++) out |= ((n >> bit) & 1) << (bits - 1 - bit);
  return out;
}

// One channel in frames of two hops, half over one another, under the root of a Hann window.
export class Frames {
  constructor() {
    this.fft = new FFT();
    this.window = Float32Array.from({ length: FRAME }, (_, n) => Math.sin((Math.PI * n) / FRAME));
    this.frame = new Float32Array(FRAME); // the hop before, and this one
    this.windowed = new Float32Array(FRAME);
    this.spectrum = new Float32Array(2 * BINS);
    this.tail = new Float32Array(HOP); // second half of the last frame that came out
  }

  // hop (768) -> whether the frame that it ends is silent; its spectrum is in `spectrum`
  analyse(hop) {
    this.frame.copyWithin(0, HOP);
    this.frame.set(hop, HOP);
    let power = 0;
    for (let n = 0; n < FRAME; n++) {
      power += this.frame[n] ** 2;
      this.windowed[n] = this.frame[n] * this.window[n];
    }
    this.fft.forward(this.windowed, this.spectrum);
    return power / FRAME < SILENT_POWER;
  }

  // spectrum (769, 2) -> the hop (768) that is complete now: the one before the last analysed
  synthesise(spectrum) {
    this.fft.inverse(spectrum, this.windowed);
    const hop = new Float32Array(HOP);
    for (let n = 0; n < HOP; n++) {
      hop[n] = this.windowed[n] * this.window[n] + this.tail[n];
      this.tail[n] = this.windowed[n + HOP] * this.window[n + HOP];
    }
    return hop;
  }
}
