// What was cleaned, for the visitor to keep: one button, then a link to a WAV.
import { mixed, Wav } from "./sound/wav.js";
import { clock, say } from "./words.js";

export class Recording {
  constructor(button, link) {
    this.button = button;
    this.link = link;
    this.wav = null; // while it records
    button.addEventListener("click", () => (this.wav ? this.finish() : this.begin()));
  }

  begin() {
    this.wav = new Wav(1);
    this.link.hidden = true;
    this.tell();
  }

  // A hop of the line
  add({ noisy, enhanced }, strength) {
    if (!this.wav) return;
    this.wav.add([mixed(noisy, enhanced, strength)]);
    this.tell();
  }

  // Also when the microphone is gone: what there is can be kept
  finish() {
    if (!this.wav) return;
    const { wav } = this;
    this.wav = null;
    if (this.link.href) URL.revokeObjectURL(this.link.href);
    this.link.href = URL.createObjectURL(wav.blob());
    this.link.download = `${say("record.name")}.wav`;
    this.link.textContent = say("record.save", { time: clock(wav.seconds) });
    this.link.hidden = false;
    this.tell();
  }

  tell() {
    const text = this.wav ? say("record.stop", { time: clock(this.wav.seconds) }) : say("record");
    if (this.button.textContent !== text) this.button.textContent = text;
  }
}
