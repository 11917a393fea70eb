// The waveform of a file: the original in grey, cleaned in indigo over it, and where it is played.
const COLUMNS = 800;

// AudioBuffer -> the loudest sample of each of 800 stretches
export function peaks(audio) {
  const out = new Float32Array(COLUMNS);
  for (let c = 0; c < audio.numberOfChannels; c++)
    audio.getChannelData(c).forEach((sample, n) => {
      const at = Math.floor((n * COLUMNS) / audio.length);
      out[at] = Math.max(out[at], Math.abs(sample));
    });
  return out;
}

// `share` is where the playhead stands
export function draw(canvas, before, after, strength, share) {
  const { clientWidth: wide, clientHeight: high } = canvas, ratio = window.devicePixelRatio || 1;
  Object.assign(canvas, { width: Math.round(wide * ratio), height: Math.round(high * ratio) });
  const pen = canvas.getContext("2d"), style = getComputedStyle(canvas), loudest = Math.max(0.01, ...before, ...after);
  pen.scale(ratio, ratio);
  const column = (n, peak) => {
    const size = Math.max(1, (high * peak) / loudest);
    pen.fillRect((n * wide) / COLUMNS, (high - size) / 2, wide / COLUMNS + 0.3, size);
  };
  pen.globalAlpha = 0.45;
  pen.fillStyle = style.getPropertyValue("--before");
  before.forEach((peak, n) => column(n, peak));
  pen.globalAlpha = 1;
  pen.fillStyle = style.getPropertyValue("--after");
  after.forEach((peak, n) => column(n, before[n] + strength * (peak - before[n])));
  pen.fillStyle = style.color;
  pen.fillRect(share * wide - 1, 0, 2, high);
}
