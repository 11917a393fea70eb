// The live line, on the audio thread: what comes in goes out `latency` samples later, enhanced where
// the worker had it in time and as it was where not. Both ways are equally late, so that the keys
// 1 and 2 compare the same moment, and a late worker costs the effect instead of a gap.
const HOP = 768; // samples
const RING = 64 * HOP;
const LEAST = 3 * HOP; // a hop to fill, one that the network holds back, one to compute
const MOST = 12 * HOP;
const SETTLE = 32 * HOP; // before the line is heard: shows how far ahead this machine must be
const SPARE = 256; // samples that must still be left then
const RAMP = 1 / 480; // of the share of the enhanced sound, a sample: 10 ms from 0 to 1
const DRY = 64; // samples before the end at which the enhanced sound is left, as quickly
const TOO_LATE = 32; // hops, half a second: this machine does not keep up
const REPORT = 2400; // samples, 50 ms

class Line extends AudioWorkletProcessor {
  constructor({ processorOptions: { strength } }) {
    super();
    Object.assign(this, { strength, original: false, slow: false, closed: false });
    this.noisy = new Float32Array(RING);
    this.enhanced = new Float32Array(RING);
    this.now = 0; // samples that came in
    this.ready = 0; // samples that are enhanced
    this.latency = LEAST;
    this.spare = Infinity; // the least that was ever left while settling
    this.share = 0; // of the enhanced sound in what goes out
    this.dry = false;
    this.underruns = 0;
    this.peaks = [0, 0];
    this.port.onmessage = ({ data }) => this.told(data);
  }

  told({ worker, ...settings }) {
    Object.assign(this, settings);
    if (!worker) return;
    this.worker = worker;
    worker.onmessage = ({ data }) => this.take(data);
    this.report();
  }

  take(wave) {
    for (let n = 0; n < wave.length; n++) this.enhanced[(this.ready + n) % RING] = wave[n];
    this.ready += wave.length;
  }

  process([input], [output]) {
    if (!this.worker) return true; // time begins with it
    const wave = output[0], from = input[0];
    for (let n = 0; n < wave.length; n++) {
      this.noisy[this.now % RING] = from ? from[n] : 0;
      this.now++;
      if (this.now % HOP === 0) this.send();
      wave[n] = this.next(this.now - 1 - this.latency);
      if (this.now % REPORT === 0) this.report();
    }
    return !this.closed;
  }

  // The hop that is complete now, to the worker; unless that cannot keep up
  send() {
    if (this.slow) return;
    this.slow = this.now - this.ready > TOO_LATE * HOP;
    const start = (this.now - HOP) % RING;
    this.worker.postMessage(this.noisy.slice(start, start + HOP));
  }

  // What goes out: sample number `at` of what came in
  next(at) {
    if (this.now <= SETTLE) return this.settle(at);
    const left = this.ready - at, dry = left <= DRY;
    if (dry && !this.dry && !this.slow) this.late();
    this.dry = dry;
    const wanted = dry || this.original ? 0 : this.strength, step = dry ? 1 / DRY : RAMP;
    this.share += Math.max(-step, Math.min(step, wanted - this.share));
    const noisy = this.noisy[at % RING], clean = left > 0 ? this.enhanced[at % RING] : noisy;
    this.peaks[0] = Math.max(this.peaks[0], Math.abs(noisy));
    this.peaks[1] = Math.max(this.peaks[1], Math.abs(noisy + this.strength * (clean - noisy)));
    return noisy + this.share * (clean - noisy);
  }

  // Sound cards take blocks of many sizes, and a worker is as quick as its machine
  settle(at) {
    if (this.now > 8 * HOP) this.spare = Math.min(this.spare, this.ready - at);
    if (this.now === SETTLE)
      while (this.spare < SPARE && this.latency < MOST) {
        this.latency += HOP;
        this.spare += HOP;
      }
    return 0;
  }

  late() {
    this.underruns++;
    if (this.underruns % 4 === 0 && this.latency < MOST) this.latency += HOP;
  }

  report() {
    const { peaks, underruns, latency, slow } = this;
    this.port.postMessage({ peaks, underruns, latency, slow });
    this.peaks = [0, 0];
  }
}

registerProcessor("line", Line);
