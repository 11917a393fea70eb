// One column of the rolling spectrogram: levels of bands from 0 to 20 kHz, as wide as the ear's.
import { BINS, RATE } from "./dsp.js";

export const ROWS = 96;
export const RANGE_DB = 80; // from black to white
const LOUDEST_DB = 40; // of a bin's power, for a voice at the level that the network gets
const HIGHEST = 20000; // Hz

const mel = (hz) => 2595 * Math.log10(1 + hz / 700);
const hertz = (value) => 700 * (10 ** (value / 2595) - 1);
const EDGES = Array.from({ length: ROWS + 1 }, (_, row) =>
  Math.round((hertz((row / ROWS) * mel(HIGHEST)) / (RATE / 2)) * (BINS - 1)));

// Share of the height at which a frequency lies
export const height = (hz) => mel(hz) / mel(HIGHEST);

// A channel of a stream -> { before, after }: levels (96) from 0 to 255 of its last frame
export const columns = (channel) => ({ before: column(channel.frames.spectrum), after: column(channel.spectrum) });

function column(spectrum) {
  return Uint8Array.from({ length: ROWS }, (_, row) => {
    let power = 1e-12;
    for (let bin = EDGES[row]; bin < Math.max(EDGES[row] + 1, EDGES[row + 1]); bin++)
      power = Math.max(power, spectrum[2 * bin] ** 2 + spectrum[2 * bin + 1] ** 2);
    return Math.max(0, Math.min(255, 255 * (1 + (10 * Math.log10(power) - LOUDEST_DB) / RANGE_DB)));
  });
}
