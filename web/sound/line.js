// The live line, on the audio thread: what comes in goes out `latency` samples later, enhanced where
// the worker had it in time and as it was where not. Both ways are equally late, so that the keys
// 1 and 2 compare the same moment, and a late worker costs the effect instead of a gap.
const HOP = 768; // samples
const RING = 64 * HOP;
const LEAST = 3 * HOP; // a hop to fill, one that the network holds back, one to compute
const MOST = 12 * HOP;
const SETTLE = 32 * HOP; // before the line is heard: shows how late this machine must be
const WATCH = 240_000; // samples, 5 s, after which the line may become less late
const SPARE = 256; // samples that must always be left
const RAMP = 1 / 480; // of the share of the enhanced sound, a sample: 10 ms from 0 to 1
const MOVE = 1 / 240; // from one latency to another within 5 ms
const DRY = 64; // samples before the end at which the enhanced sound is left, as quickly
const TOO_LATE = 128; // hops, 2 s: this machine does not keep up
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
    this.spare = Infinity; // the least that was left lately
    this.move = { by: 0, share: 0 }; // the last change of the latency, and what is still heard of before
    this.share = 0; // of the enhanced sound in what goes out
    this.dry = false;
    this.underruns = 0;
    this.peaks = [0, 0];
    this.port.onmessage = ({ data }) => this.told(data);
  }

  told({ worker, ...settings }) {
    Object.assign(this, settings);
    if (worker) {
      this.worker = worker;
      worker.onmessage = ({ data }) => this.take(data);
    }
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
      wave[n] = this.next();
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

  // What goes out
  next() {
    if (this.now <= SETTLE) return this.settle();
    if (this.now % WATCH === 0) this.watch();
    const at = this.now - 1 - this.latency, left = this.ready - at, dry = left <= DRY;
    this.spare = Math.min(this.spare, left);
    const wanted = dry || this.original ? 0 : this.strength, step = dry ? 1 / DRY : RAMP;
    this.share += Math.max(-step, Math.min(step, wanted - this.share));
    this.measure(at);
    const sample = this.heard(at);
    if (dry && !this.dry && !this.slow) this.late();
    this.dry = dry;
    return sample;
  }

  // Sample number `at` of what came in; while the line moves, also what was due before
  heard(at) {
    const { by, share } = this.move, sample = this.mixed(at, this.share);
    if (!share) return sample;
    this.move.share = Math.max(0, share - MOVE);
    return sample + share * (this.mixed(at + by, this.share) - sample);
  }

  mixed(at, share) {
    const noisy = this.noisy[at % RING];
    return at < this.ready ? noisy + share * (this.enhanced[at % RING] - noisy) : noisy;
  }

  measure(at) {
    this.peaks[0] = Math.max(this.peaks[0], Math.abs(this.noisy[at % RING]));
    this.peaks[1] = Math.max(this.peaks[1], Math.abs(this.mixed(at, this.strength)));
  }

  // Sound cards take blocks of many sizes, and a worker is as quick as its machine: the line begins
  // as late as it must be
  settle() {
    if (this.now > 8 * HOP) this.spare = Math.min(this.spare, this.ready - this.now + this.latency);
    if (this.now < SETTLE) return 0;
    for (; this.spare < SPARE && this.latency < MOST; this.spare += HOP) this.latency += HOP;
    this.spare = Infinity;
    return 0;
  }

  // Less late again, if it was in time by a hop for a while
  watch() {
    if (this.spare >= HOP + SPARE) this.delay(-HOP);
    this.spare = Infinity;
  }

  late() {
    this.underruns++;
    if (this.underruns % 4 === 0) this.delay(HOP);
  }

  delay(by) {
    const latency = Math.max(LEAST, Math.min(MOST, this.latency + by));
    this.move = { by: latency - this.latency, share: latency === this.latency ? 0 : 1 };
    this.latency = latency;
  }

  report() {
    const { peaks, underruns, latency, slow } = this;
    this.port.postMessage({ peaks, underruns, latency, slow });
    this.peaks = [0, 0];
  }
}

registerProcessor("line", Line);
