// Where a recording comes in: a file, the microphone, a link, an example. What comes in is sent to
// the server as it is, nothing is decoded here, and the work begins by itself: trigger('start').
// props.value: { open: { kind, ... }, warning, at }: what the address of the page asks for.
const { say, speak, tell, clock, sendFile, mounted } = window.denoiser;
const part = (selector) => element.querySelector(selector);
const once = mounted("box");
let run = null, last = null, sending = null, recorder = null;

speak(element);

function warn(sentence) {
  part(".warning").textContent = sentence ?? "";
  part(".warning").hidden = !sentence;
}

function show(name) { // the name of what is worked on, or null for the open box
  part(".drop").hidden = part(".examples").hidden = name !== null;
  part(".chosen").hidden = name === null;
  part(".name").textContent = name ?? "";
}

// A new run: whatever is under way belongs to another.
function begin(name, state) {
  sending?.abort();
  run = `${Date.now()}-${Math.random().toString(36).slice(2)}`;
  warn(null);
  show(name);
  tell("run", { run, name });
  tell("status", { run, state });
  return run;
}

function start(data) {
  last = data;
  tell("status", { run, state: data.kind === "url" ? "fetching" : "starting" });
  trigger("start", { ...data, run });
}

async function send(content, name) {
  const mine = begin(name, "uploading");
  sending = new AbortController();
  try {
    const share = (share) => tell("status", { run: mine, state: "uploading", share });
    const path = await sendFile(content, name, share, sending.signal);
    if (mine === run) start({ kind: "file", path, name });
  } catch {
    if (mine === run) tell("status", { run, state: "refused", sentence: say("upload.failed") });
  }
}

function open(data) {
  const name = data.kind === "example" ? say(`example.${data.name}`) : data.name ?? data.url;
  begin(name, "starting");
  start(data);
}

// ---- the microphone, as 16 bit samples in a WAV: nothing is lost to a codec
const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
  process([[channel]]) {
    if (channel) this.port.postMessage(channel.slice());
    return true;
  }
})`;

async function record() {
  warn(null);
  if (!navigator.mediaDevices || !window.AudioWorklet) return warn(say("microphone.https"));
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    return warn(say(error.name === "NotFoundError" ? "microphone.none" : "microphone.refused"));
  }
  const context = new AudioContext({ sampleRate: 48000 });
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([TAP], { type: "text/javascript" })));
  const tap = new AudioWorkletNode(context, "tap", { channelCount: 1, channelCountMode: "explicit" });
  const pieces = [];
  let samples = 0;
  tap.port.onmessage = ({ data }) => {
    pieces.push(Int16Array.from(data, (x) => Math.max(-32768, Math.min(32767, Math.round(32768 * x)))));
    samples += data.length;
    const level = data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    part("meter").value = Math.max(level, 0.85 * part("meter").value);
    part(".since").textContent = say("recording.now", { time: clock(samples / 48000) });
  };
  context.createMediaStreamSource(stream).connect(tap);
  recorder = (keep) => {
    for (const track of stream.getTracks()) track.stop();
    context.close();
    recorder = null;
    showRecorder(false);
    if (keep && samples) send(wav(pieces, samples), `${say("recording.name")}.wav`);
  };
  part(".since").textContent = say("recording.now", { time: clock(0) });
  showRecorder(true);
  part(".finish").focus();
}

function showRecorder(on) {
  part(".recorder").hidden = !on;
  part(".ways").hidden = part(".hint").hidden = part(".examples").hidden = on;
  if (on) part(".address").hidden = true;
}

function wav(pieces, samples) {
  const head = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((c, n) => head.setUint8(at + n, c.charCodeAt(0)));
  text(0, "RIFF"); head.setUint32(4, 36 + 2 * samples, true); text(8, "WAVEfmt ");
  head.setUint32(16, 16, true); head.setUint16(20, 1, true); head.setUint16(22, 1, true);
  head.setUint32(24, 48000, true); head.setUint32(28, 96000, true);
  head.setUint16(32, 2, true); head.setUint16(34, 16, true);
  text(36, "data"); head.setUint32(40, 2 * samples, true);
  return new Blob([head, ...pieces], { type: "audio/wav" });
}

// ---- what is clicked, dropped, pasted
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches(".choose")) part(".file").click();
  else if (button.matches(".record")) record();
  else if (button.matches(".finish")) recorder?.(true);
  else if (button.matches(".cancel")) recorder?.(false);
  else if (button.matches(".change")) { show(null); part(".choose").focus(); }
  else if (button.dataset.example) open({ kind: "example", name: button.dataset.example });
  else if (button.matches(".paste")) {
    part(".address").hidden = !part(".address").hidden;
    button.setAttribute("aria-expanded", String(!part(".address").hidden));
    part(".address input").focus();
  }
});
part(".file").addEventListener("change", ({ target }) => {
  if (target.files[0]) send(target.files[0], target.files[0].name);
  target.value = ""; // the same file may be chosen again
});
part(".address").addEventListener("submit", (event) => {
  event.preventDefault();
  const url = part(".address input").value.trim();
  if (url) open({ kind: "url", url });
});
const box = part(".box");
for (const kind of ["dragenter", "dragover"])
  box.addEventListener(kind, (event) => { event.preventDefault(); box.classList.add("over"); });
for (const kind of ["dragleave", "drop"])
  box.addEventListener(kind, () => box.classList.remove("over"));
box.addEventListener("drop", (event) => {
  event.preventDefault();
  const [dropped] = event.dataTransfer.files;
  if (dropped) send(dropped, dropped.name);
});
document.addEventListener("paste", (event) => {
  const [pasted] = event.clipboardData?.files ?? [];
  if (pasted && element.offsetParent) send(pasted, pasted.name);
}, once);

// ---- what the rest of the page says
document.addEventListener("denoiser:status", ({ detail }) => {
  if (detail.run !== run) return;
  if (detail.name && !part(".chosen").hidden) part(".name").textContent = detail.name;
  if (["refused", "stopped"].includes(detail.state)) {
    sending?.abort();
    run = null;
    if (detail.state === "refused") warn(detail.sentence);
    show(null);
    const url = part(".address input").value;
    part(".address").hidden = !(detail.state === "refused" && last?.kind === "url" && url);
  }
}, once);
document.addEventListener("denoiser:again", () => (last ? open(last) : warn(say("none"))), once);
function asked() {
  const { open: wanted, warning } = props.value || {};
  if (wanted) open(wanted);
  if (warning) warn(warning);
}
watch("value", asked);
asked();
