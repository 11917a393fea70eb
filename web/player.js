// Before and after in step: two sources at once, of which the side and the strength say what is heard.
import { RATE } from "./sound/dsp.js";

export class Player {
  constructor(changed) {
    this.changed = changed; // called when it begins or ends to play
    this.buffers = []; // AudioBuffers: before, after
    this.side = "cleaned";
    this.strength = 1;
    this.offset = 0; // seconds at which it stands, or began to play
    this.playing = null; // { sources, gains, since }
  }

  load(...buffers) {
    this.pause();
    Object.assign(this, { buffers, offset: 0 });
  }

  get seconds() {
    return this.buffers[0]?.duration ?? 0;
  }

  get position() {
    if (!this.playing) return this.offset;
    return Math.min(this.seconds, this.offset + this.context.currentTime - this.playing.since);
  }

  play() {
    this.context ??= new AudioContext({ sampleRate: RATE });
    this.context.resume();
    if (this.position >= this.seconds) this.offset = 0;
    const gains = this.gains().map((gain) => new GainNode(this.context, { gain }));
    const sources = this.buffers.map((buffer) => new AudioBufferSourceNode(this.context, { buffer }));
    sources.forEach((source, n) => source.connect(gains[n]).connect(this.context.destination));
    sources.forEach((source) => source.start(0, this.offset));
    this.playing = { sources, gains, since: this.context.currentTime };
    sources[0].onended = () => this.pause();
    this.changed();
  }

  pause() {
    if (!this.playing) return;
    this.offset = this.position;
    const { sources, gains } = this.playing;
    sources[0].onended = null;
    sources.forEach((source) => source.stop());
    gains.forEach((gain) => gain.disconnect());
    this.playing = null;
    this.changed();
  }

  seek(seconds) {
    const { playing } = this;
    this.pause();
    this.offset = Math.max(0, Math.min(this.seconds, seconds));
    if (playing) this.play();
    else this.changed();
  }

  // What is heard from now on
  hear(side, strength) {
    Object.assign(this, { side, strength });
    this.gains().forEach((gain, n) => this.playing?.gains[n].gain.setTargetAtTime(gain, this.context.currentTime, 0.005));
  }

  gains() {
    const share = this.side === "cleaned" ? this.strength : 0;
    return [1 - share, share];
  }
}
