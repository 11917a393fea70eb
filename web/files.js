// The tab Files: choose or drop one, wait, compare, download. Nothing is uploaded.
import { Cleaner, decode, MOST_MINUTES } from "./sound/cleaner.js";
import { draw, peaks } from "./outline.js";
import { Player } from "./player.js";
import { plain } from "./sound/trouble.js";
import { wavOf } from "./sound/wav.js";
import { about, clock, say, sentence } from "./words.js";

export class Files {
  constructor(root) {
    this.root = root;
    this.at = (selector) => root.querySelector(selector);
    this.cleaner = new Cleaner();
    this.player = new Player(() => this.shown());
    this.result = null; // { name, noisy, enhanced, before, after }
    this.at(".info").textContent = say("drop.info", { minutes: MOST_MINUTES });
    this.at(".choose").addEventListener("click", () => this.at(".file").click());
    this.at(".file").addEventListener("change", ({ target }) => this.take(target.files));
    this.at(".cancel").addEventListener("click", () => this.cleaner.cancel());
    this.dropped();
    this.listened();
  }

  dropped() {
    const box = this.at(".drop");
    for (const kind of ["dragover", "dragleave", "drop"])
      box.addEventListener(kind, (event) => {
        event.preventDefault();
        box.classList.toggle("over", kind === "dragover");
        if (kind === "drop") this.take(event.dataTransfer.files);
      });
  }

  listened() {
    this.at(".play").addEventListener("click", () => this.toggle());
    this.at(".position").addEventListener("input", ({ target }) => this.player.seek((this.player.seconds * target.value) / 1000));
    this.at(".strength").addEventListener("input", ({ target }) => this.hear(this.player.side, target.value / 100));
    this.at(".save").addEventListener("click", () => this.save());
    for (const button of this.root.querySelectorAll(".sides button"))
      button.addEventListener("click", () => this.hear(button.dataset.side, this.player.strength));
    document.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.shown()).observe(this.at(".outline"));
  }

  async take([file]) {
    this.at(".file").value = ""; // the same file may be chosen again
    if (!file || this.busy) return;
    this.busy = true;
    this.player.pause();
    this.show(".trouble, .result", false);
    this.show(".progress", true);
    try {
      await this.work(file);
    } catch (error) {
      this.at(".status").textContent = error ? "" : say("cancelled");
      if (error) this.complain(plain(error));
    }
    this.show(".progress", false);
    this.busy = false;
  }

  async work(file) {
    const status = this.at(".status"), bar = this.at("progress");
    bar.removeAttribute("value");
    status.textContent = say("decoding");
    const noisy = await decode(file);
    status.textContent = say("loading");
    let begun;
    const start = performance.now();
    const enhanced = await this.cleaner.clean(noisy, (share) => {
      const now = performance.now();
      begun ??= { now, share };
      const left = (1 - share) * ((now - begun.now) / (share - begun.share || 1));
      bar.value = share;
      status.textContent = say("working", { percent: Math.floor(100 * share), time: about(left / 1000) });
    });
    status.textContent = say("ready");
    this.finish(file.name, noisy, enhanced, (performance.now() - start) / 1000);
  }

  finish(name, noisy, enhanced, seconds) {
    this.result = { name, noisy, enhanced, before: peaks(noisy), after: peaks(enhanced) };
    this.at(".title").textContent = name;
    this.at(".facts").textContent = say("done", { length: clock(noisy.duration), time: about(seconds) });
    this.player.load(noisy, enhanced);
    this.show(".result", true);
    this.hear("cleaned", this.player.strength);
    this.at(".play").focus();
  }

  hear(side, strength) {
    this.player.hear(side, strength);
    this.at("output").textContent = Math.round(100 * strength);
    for (const button of this.root.querySelectorAll(".sides button"))
      button.setAttribute("aria-pressed", button.dataset.side === side);
    this.shown();
  }

  toggle() {
    if (this.player.playing) this.player.pause();
    else this.player.play();
  }

  // The player as it stands, again and again while it plays
  shown() {
    const { player, result } = this;
    if (!result || this.root.hidden) return;
    const share = player.seconds ? player.position / player.seconds : 0;
    this.at(".play").textContent = say(player.playing ? "pause" : "play");
    this.at(".position").value = Math.round(1000 * share);
    this.at(".position").setAttribute("aria-valuetext", clock(player.position));
    this.at(".time").textContent = `${clock(player.position)} / ${clock(player.seconds)}`;
    draw(this.at(".outline"), result.before, result.after, player.strength, share);
    if (player.playing) requestAnimationFrame(() => this.shown());
  }

  save() {
    const { name, noisy, enhanced } = this.result, link = document.createElement("a");
    link.href = URL.createObjectURL(wavOf(noisy, enhanced, this.player.strength));
    link.download = `${name.replace(/\.[^.]*$/, "")}_${say("suffix")}.wav`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  key(event) {
    if (!this.result || this.root.hidden || this.busy || event.ctrlKey || event.altKey || event.metaKey) return;
    const side = { 1: "original", 2: "cleaned" }[event.key];
    if (side) this.hear(side, this.player.strength);
    if (event.key === " " && event.target === document.body) {
      event.preventDefault();
      this.toggle();
    }
  }

  show(selector, visible) {
    for (const node of this.root.querySelectorAll(selector)) node.hidden = !visible;
  }

  complain(trouble) {
    this.at(".trouble").textContent = sentence(trouble);
    this.show(".trouble", true);
  }
}
