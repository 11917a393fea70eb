// The exported model and its runtime: fetched, checked, and run on one frame after another.
import { BINS } from "./dsp.js";
import { Trouble } from "./trouble.js";

const FORMAT = "1"; // of the file, as denoiser/hops.py
const RUNTIME = "../runtime/"; // onnxruntime-web, as prepare.mjs leaves it

// -> a Network. Throws Trouble if a file is missing or changed, or if WebAssembly is blocked.
export async function load() {
  compileAnything();
  const [model, binary] = await Promise.all([fetchModel(), fetchBytes(RUNTIME + "ort.wasm.gz", "runtime")]);
  try {
    const ort = await import(RUNTIME + "ort.mjs");
    Object.assign(ort.env.wasm, { numThreads: 1, proxy: false, wasmBinary: binary });
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    return new Network(ort, session);
  } catch (error) {
    throw new Trouble("runtime", { detail: String(error.message ?? error) });
  }
}

class Network {
  constructor(ort, session) {
    this.ort = ort;
    this.session = session;
    this.inputs = session.inputMetadata.filter(({ name }) => name.startsWith("state"));
  }

  // Those before a recording, by name
  states() {
    return Object.fromEntries(this.inputs.map(({ name, shape }) =>
      [name, new this.ort.Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)]));
  }

  // spectrum (769, 2), whether its frame is silent, states -> those after it
  async run(spectrum, silent, states) {
    const { Tensor } = this.ort;
    const outputs = await this.session.run({
      spectrum: new Tensor("float32", spectrum, [1, 1, BINS, 2]),
      silent: new Tensor("bool", [silent], [1, 1]),
      ...states,
    });
    const next = Object.fromEntries(this.inputs.map(({ name }) => [name, outputs[`next_${name}`]]));
    return { spectrum: outputs.enhanced.data, states: next };
  }
}

// The smallest module there is: a security policy that forbids WebAssembly forbids it, too.
function compileAnything() {
  try {
    new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
  } catch {
    throw new Trouble("wasm");
  }
}

// The address names the digest, so that no cache gives an old file for a new one.
async function fetchModel() {
  if (!globalThis.crypto?.subtle) throw new Trouble("https");
  const about = parsed(await fetchBytes("../model/model.json", "model", { cache: "no-cache" }));
  if (about.format !== FORMAT) throw changed("model/model.json");
  const name = `model/${about.file ?? "model.onnx"}`;
  const bytes = await fetchBytes(`../${name}?sha256=${about.sha256}`, "model");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== about.sha256) throw changed(name);
  return bytes;
}

// Some hosts answer with a page of theirs where a file is missing
function parsed(bytes) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Trouble("model.missing");
  }
}

// A file of the site, unpacked where it is packed: some servers have done it by then.
async function fetchBytes(address, what, options) {
  let bytes;
  try {
    const response = await fetch(new URL(address, import.meta.url), options);
    if (!response.ok) throw new Error(response.status);
    bytes = new Uint8Array(await response.arrayBuffer());
  } catch {
    throw new Trouble(`${what}.missing`);
  }
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  try {
    return new Uint8Array(await new Response(unpacked).arrayBuffer());
  } catch {
    throw changed(address.replace(/^\.\.\/|\?.*/g, ""));
  }
}

const changed = (name) => new Trouble("changed", { name });
