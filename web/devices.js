// The choice of microphone and output; browsers name them once the microphone was allowed.
import { say } from "./words.js";

export class Devices {
  constructor(microphones, outputs, changed) {
    this.microphones = microphones;
    this.outputs = outputs;
    outputs.closest("label").hidden = !("setSinkId" in AudioContext.prototype);
    microphones.addEventListener("change", changed);
    outputs.addEventListener("change", changed);
    navigator.mediaDevices?.addEventListener("devicechange", () => this.refresh());
    this.refresh();
  }

  get microphone() {
    return this.microphones.value;
  }

  async refresh() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    list(this.microphones, devices.filter(({ kind }) => kind === "audioinput"));
    list(this.outputs, devices.filter(({ kind }) => kind === "audiooutput"));
  }

  // Sends a context's sound to the chosen output
  async route(context) {
    if (context.setSinkId && this.outputs.value !== context.sinkId) await context.setSinkId(this.outputs.value);
  }
}

function list(select, devices) {
  const chosen = select.value;
  const named = devices.filter(({ deviceId }) => deviceId && deviceId !== "default");
  select.replaceChildren(new Option(say("device.default"), ""),
    ...named.map(({ deviceId, label }, n) => new Option(label || say("device.n", { n: n + 1 }), deviceId)));
  if (named.some(({ deviceId }) => deviceId === chosen)) select.value = chosen;
}
