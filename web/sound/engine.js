// The live graph: microphone, line, volume, output; and the worker beside it that runs the network.
import { RATE } from "./dsp.js";
import { Trouble } from "./trouble.js";

const here = (path) => new URL(path, import.meta.url);
// Browsers take noise out of microphones by themselves, which leaves traces: ask for it raw
const RAW = { noiseSuppression: false, echoCancellation: false, autoGainControl: false };
const PATIENCE = 10000; // ms, for the sound card to begin
const REFUSALS = {
  NotFoundError: "microphone.none",
  OverconstrainedError: "microphone.none",
  NotAllowedError: "microphone.refused",
  SecurityError: "microphone.refused",
  NotReadableError: "microphone.busy",
  AbortError: "microphone.busy",
};

// A worker whose network is loaded. `told` gets all that it says from then on.
export function startWorker(told) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(here("./worker.js"), { type: "module" });
    const fail = (trouble) => {
      worker.terminate();
      reject(trouble);
    };
    worker.onerror = () => fail(new Trouble("worker"));
    worker.onmessage = ({ data }) => {
      if (data.trouble) return fail(new Trouble(data.trouble.key, data.trouble.values));
      worker.onmessage = (event) => told(event.data);
      worker.onerror = (event) => told({ trouble: { key: "unknown", values: { detail: event.message } } });
      resolve(worker);
    };
    worker.postMessage({ load: true });
  });
}

export async function openMicrophone(deviceId) {
  if (!navigator.mediaDevices) throw new Trouble("https");
  const audio = { ...RAW, channelCount: 1, sampleRate: RATE, ...(deviceId && { deviceId: { exact: deviceId } }) };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new Trouble(REFUSALS[error.name] ?? "unknown", { detail: error.message });
  }
}

export function openContext() {
  const context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
  if (context.sampleRate !== RATE) throw new Trouble("rate");
  return context;
}

// Without a sound card some browsers wait for one for ever
export function begin(context) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Trouble("output.none")), PATIENCE));
  return Promise.race([context.resume(), late]);
}

export function sourceOf(context, stream) {
  try {
    return context.createMediaStreamSource(stream);
  } catch {
    throw new Trouble("rate.microphone"); // Firefox does not convert
  }
}

// source -> line -> volume, which the caller connects. `told` gets the line's reports.
export async function connect(context, source, worker, strength, told) {
  await context.audioWorklet.addModule(here("./line.js"));
  const line = new AudioWorkletNode(context, "line", {
    channelCount: 1,
    channelCountMode: "explicit",
    outputChannelCount: [1],
    processorOptions: { strength },
  });
  const { port1, port2 } = new MessageChannel();
  worker.postMessage({ live: port1 }, [port1]);
  line.port.postMessage({ worker: port2 }, [port2]);
  line.port.onmessage = ({ data }) => told(data);
  const volume = new GainNode(context);
  source.connect(line).connect(volume);
  return { line, volume };
}
