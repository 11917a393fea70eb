// The tab Live: the microphone, cleaned as it comes.
import { RATE } from "./sound/dsp.js";
import { begin, connect, openContext, openMicrophone, sourceOf, startWorker } from "./sound/engine.js";
import { Devices } from "./devices.js";
import { Recording } from "./recording.js";
import { Rolling } from "./rolling.js";
import { Trouble, plain } from "./sound/trouble.js";
import { count, say, sentence } from "./words.js";

const FLOOR_DB = -60; // of the meters

export class Live {
  constructor(root) {
    this.root = root;
    this.at = (selector) => root.querySelector(selector);
    this.rolling = new Rolling(this.at(".picture"));
    this.recording = new Recording(this.at(".record"), this.at(".save"));
    this.devices = new Devices(this.at(".microphone"), this.at(".speaker"), () => this.changeDevice());
    this.strength = 1;
    this.running = null; // { context, stream, line, volume, hidden }
    this.at(".start").addEventListener("click", () => this.start(true));
    this.at(".mute").addEventListener("click", () => this.start(false));
    this.at(".stop").addEventListener("click", () => this.stop(say("stopped")));
    this.at(".strength").addEventListener("input", ({ target }) => this.setStrength(target.value / 100));
    this.at(".sound").addEventListener("change", ({ target }) => this.setSound(target.checked));
    for (const button of root.querySelectorAll(".sides button"))
      button.addEventListener("click", () => this.listen(button.dataset.side));
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("visibilitychange", () => this.seen());
  }

  async start(sound) {
    const buttons = [this.at(".start"), this.at(".mute")];
    buttons.forEach((button) => (button.disabled = true));
    this.complain(null);
    const opened = {};
    try {
      await this.open(opened);
      this.begin(opened, sound);
    } catch (error) {
      close(opened);
      this.at(".status").textContent = "";
      this.complain(plain(error));
    }
    buttons.forEach((button) => (button.disabled = false));
  }

  // Everything in the order in which a visitor can be asked and told; `opened` can be closed halfway
  async open(opened) {
    const status = this.at(".status");
    opened.context = openContext(); // at once, while the browser still counts the click
    status.textContent = say("asking");
    opened.stream = await openMicrophone(this.devices.microphone);
    status.textContent = say("loading");
    this.worker ??= await startWorker((data) => this.hear(data));
    const source = sourceOf(opened.context, opened.stream);
    Object.assign(opened, await connect(opened.context, source, this.worker, this.strength, (data) => this.report(data)));
    await begin(opened.context);
    await this.devices.route(opened.context).catch(() => this.complain(new Trouble("output")));
    opened.volume.connect(opened.context.destination);
  }

  begin(opened, sound) {
    const { context, stream } = (this.running = opened);
    const [track] = stream.getAudioTracks();
    track.onended = () => this.fail("microphone.unplugged");
    track.onmute = () => this.complain(new Trouble("microphone.muted"));
    track.onunmute = () => this.complain(null);
    context.onstatechange = () => context.state === "running" || this.running !== opened || this.fail("suspended");
    this.setSound(sound);
    this.listen("cleaned");
    this.show(true);
    this.at(".status").textContent = say("running");
    this.devices.refresh();
    this.at(".stop").focus();
  }

  stop(text) {
    if (!this.running) return;
    close(this.running);
    this.running = null;
    this.recording.finish();
    this.show(false);
    this.at(".status").textContent = text;
    this.at(".start").focus();
  }

  fail(key) {
    this.stop("");
    this.complain(new Trouble(key));
  }

  // What the worker says
  hear({ hop, trouble }) {
    if (trouble) {
      this.worker.terminate();
      this.worker = null;
      this.stop("");
      return this.complain(trouble);
    }
    if (!this.running) return;
    this.rolling.add(hop.columns);
    this.recording.add(hop, this.strength);
  }

  // What the line says, every 50 ms
  report({ peaks, underruns, latency, slow }) {
    if (!this.running) return;
    this.meter(".meter.before", peaks[0]);
    this.meter(".meter.after", peaks[1]);
    const { baseLatency = 0, outputLatency = 0 } = this.running.context;
    const ms = Math.round((1000 * latency) / RATE), card = Math.round(1000 * (baseLatency + outputLatency));
    const dropouts = underruns ? `${count("underruns", underruns)}. ${say("underruns.info")}` : say("underruns.none");
    this.at(".facts").textContent = `${say(card ? "facts.card" : "facts", { ms, card })} · ${dropouts}`;
    if (slow && !this.running.slow) this.tooSlow();
  }

  // The line goes on with the original; nothing is left to record
  tooSlow() {
    this.running.slow = true;
    this.recording.finish();
    this.at(".record").hidden = true;
    this.complain(new Trouble("slow"));
  }

  meter(selector, peak) {
    const db = Math.max(FLOOR_DB, 20 * Math.log10(peak + 1e-9)), node = this.at(selector);
    node.setAttribute("aria-valuenow", Math.round(db));
    node.firstElementChild.style.transform = `scaleX(${1 - db / FLOOR_DB})`;
  }

  setStrength(value) {
    this.strength = value;
    this.at(".slider output").textContent = Math.round(100 * value);
    this.running?.line.port.postMessage({ strength: value });
  }

  setSound(on) {
    this.at(".sound").checked = on;
    const { volume, context } = this.running;
    volume.gain.setTargetAtTime(on ? 1 : 0, context.currentTime, 0.01);
  }

  listen(side) {
    this.running?.line.port.postMessage({ original: side === "original" });
    for (const button of this.root.querySelectorAll(".sides button"))
      button.setAttribute("aria-pressed", button.dataset.side === side);
  }

  key(event) {
    const side = { 1: "original", 2: "cleaned" }[event.key];
    if (side && this.running && !this.root.hidden && !event.ctrlKey && !event.altKey && !event.metaKey) this.listen(side);
  }

  // The microphone changes by starting again, the output at once
  async changeDevice() {
    if (!this.running) return;
    const { stream, context } = this.running;
    const [track] = stream.getAudioTracks();
    if (this.devices.microphone && track.getSettings().deviceId !== this.devices.microphone) {
      const sound = this.at(".sound").checked;
      this.stop("");
      return this.start(sound);
    }
    await this.devices.route(context).catch(() => this.complain(new Trouble("output")));
  }

  // Back from another tab: whether the sound went on meanwhile
  seen() {
    if (!this.running) return;
    const { context } = this.running, now = { wall: performance.now() / 1000, sound: context.currentTime };
    if (document.hidden) return (this.running.hidden = now);
    const { wall, sound } = this.running.hidden ?? now, n = Math.round(now.wall - wall - (now.sound - sound));
    if (n >= 1) this.complain(new Trouble("stalled", { n }));
  }

  show(running) {
    for (const selector of [".running", ".stop", ".record"]) this.at(selector).hidden = !running;
    for (const selector of [".start", ".mute", ".warning"]) this.at(selector).hidden = running;
  }

  complain(trouble) {
    const node = this.at(".trouble");
    node.hidden = !trouble;
    node.textContent = trouble ? sentence(trouble) : "";
  }
}

function close({ context, stream, line }) {
  line?.port.postMessage({ closed: true });
  for (const track of stream?.getTracks() ?? []) {
    track.onended = null;
    track.stop();
  }
  context?.close();
}
