// Where the network runs, off the page's thread. It answers three messages:
//   { load } -> { ready }, or { trouble } here and after anything else that fails
//   { live: port } -> serves an audio line (line.js) through the port, and shows each hop to the page
//   { file: channels }, then { piece: [wave a channel], last } -> { enhanced: [wave a channel], last }
import { HOP } from "./dsp.js";
import { load } from "./network.js";
import { columns } from "./columns.js";
import { Stream } from "./stream.js";
import { plain } from "./trouble.js";

const WARM_UP = 20; // hops, after which the browser has compiled what it runs often
let network, file;

async function ready() {
  if (network) return;
  network = await load();
  const stream = new Stream(network, 1), silence = [new Float32Array(HOP)];
  for (let n = 0; n < WARM_UP; n++) await stream.push(silence);
}

// One live line. Its port brings hops in order and takes them back enhanced, one hop late.
function serve(port) {
  const stream = new Stream(network, 1), waiting = [];
  let busy = false;
  port.onmessage = async ({ data }) => {
    waiting.push(data);
    if (busy) return;
    busy = true;
    try {
      while (waiting.length) await next(stream, waiting.shift(), port);
    } catch (error) {
      postMessage({ trouble: plain(error) });
    }
    busy = false;
  };
}

async function next(stream, hop, port) {
  const start = performance.now(), out = await stream.push([hop]);
  const milliseconds = performance.now() - start;
  if (!out) return;
  const [noisy, enhanced] = [out.noisy[0], out.enhanced[0]];
  port.postMessage(enhanced);
  postMessage({ hop: { noisy, enhanced, columns: columns(stream.channels[0]), milliseconds } });
}

async function enhance({ piece, last }) {
  const pieces = piece.map(() => []), take = (out) => out?.enhanced.forEach((wave, c) => pieces[c].push(wave));
  for (let start = 0; start < piece[0].length; start += HOP)
    take(await file.push(piece.map((wave) => wave.subarray(start, start + HOP))));
  if (last) take(await file.flush());
  const enhanced = pieces.map(joined);
  postMessage({ enhanced, last }, enhanced.map((wave) => wave.buffer));
}

function joined(waves) {
  const out = new Float32Array(waves.reduce((sum, wave) => sum + wave.length, 0));
  waves.reduce((at, wave) => (out.set(wave, at), at + wave.length), 0);
  return out;
}

onmessage = async ({ data }) => {
  try {
    if (data.load) {
      await ready();
      postMessage({ ready: true });
    } else if (data.live) serve(data.live);
    else if (data.file) file = new Stream(network, data.file);
    else if (data.piece) await enhance(data);
  } catch (error) {
    postMessage({ trouble: plain(error) });
  }
};
