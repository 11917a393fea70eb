// Waveform and spectrogram on one canvas, over one axis of time: a playhead runs over both, click
// and drag seek, the wheel and two fingers zoom. Before is grey, after indigo, removed amber.
const RAMPS = { before: [[22, 24, 31], [120, 128, 145], [245, 247, 250]],
  after: [[16, 16, 40], [99, 102, 241], [238, 242, 255]], removed: [[36, 22, 4], [217, 119, 6], [255, 247, 214]] };
const WAVES = { before: "#8b90a0", after: "#4f46e5", removed: "#b45309" };
const DARK_WAVES = { before: "#6b7080", after: "#a5b4fc", removed: "#fbbf24" };
const RANGE_DB = 80, LEFT = 34, WAVE_SHARE = 0.3, MOST_ZOOM = 64;

// `host`: { seconds(), now(), seek(seconds), changed() }.
function makePicture(canvas, host) {
  const state = { side: "after", strength: 1, outlines: { before: [], after: [] }, sheet: null, from: 0, to: 1 };
  const amplitude = Float32Array.from({ length: 256 }, (_, n) => 10 ** (((n / 255 - 1) * RANGE_DB) / 20));

  async function load(value) {
    Object.assign(state, { outlines: value.outlines, sheet: null, from: 0, to: 1 });
    const { picture } = value;
    draw();
    const data = new Uint8Array(await (await fetch(window.denoiser.file(picture.path))).arrayBuffer());
    const size = picture.rows * picture.columns;
    state.sheet = { ...picture, before: data.subarray(0, size), after: data.subarray(size, 2 * size),
      removed: data.subarray(2 * size, 3 * size) };
    paint();
  }

  // What is heard now, as an image of one pixel a value.
  function paint() {
    const { sheet, side, strength: s } = state;
    if (!sheet) return draw();
    const image = new ImageData(sheet.columns, sheet.rows), ramp = RAMPS[side];
    for (let row = 0; row < sheet.rows; row++)
      for (let column = 0; column < sheet.columns; column++) {
        const at = row * sheet.columns + column, to = 4 * ((sheet.rows - 1 - row) * sheet.columns + column);
        let level = sheet[side][at] / 255;
        if (side === "after" && s < 1)
          level = mixed((1 - s) * amplitude[sheet.before[at]] + s * amplitude[sheet.after[at]]);
        if (side === "removed" && s < 1) level = mixed(s * amplitude[sheet.removed[at]]);
        const [low, high, share] = level < 0.6 ? [ramp[0], ramp[1], level / 0.6] : [ramp[1], ramp[2], (level - 0.6) / 0.4];
        for (let c = 0; c < 3; c++) image.data[to + c] = low[c] + share * (high[c] - low[c]);
        image.data[to + 3] = 255;
      }
    state.image ??= document.createElement("canvas");
    Object.assign(state.image, { width: sheet.columns, height: sheet.rows });
    state.image.getContext("2d").putImageData(image, 0, 0);
    draw();
  }
  const mixed = (x) => Math.max(0, Math.min(1, 1 + (20 * Math.log10(Math.max(x, 1e-9))) / RANGE_DB));

  function look(side, strength) {
    const same = state.side === side && (state.strength === strength || side === "before");
    Object.assign(state, { side, strength });
    if (same && state.image) draw(); else paint();
  }

  function draw() {
    const { clientWidth: wide, clientHeight: high } = canvas, ratio = window.devicePixelRatio || 1;
    if (!wide) return;
    if (canvas.width !== Math.round(wide * ratio)) canvas.width = Math.round(wide * ratio);
    if (canvas.height !== Math.round(high * ratio)) canvas.height = Math.round(high * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, wide, high);
    const top = Math.round(high * WAVE_SHARE), bottom = high - 16;
    drawWave(pen, wide, top);
    drawSpectrogram(pen, wide, top, bottom);
    drawAxes(pen, wide, top, bottom, high);
    const x = LEFT + (wide - LEFT) * ((host.now() / (host.seconds() || 1) - state.from) / (state.to - state.from));
    if (x >= LEFT) { // the playhead: light within dark, to be seen on everything
      pen.fillStyle = "#000"; pen.fillRect(x - 1.5, 0, 3, bottom);
      pen.fillStyle = "#fff"; pen.fillRect(x - 0.5, 0, 1, bottom);
    }
  }

  function drawWave(pen, wide, high) {
    const { side, strength: s, from, to } = state, { before, after } = state.outlines;
    const loudest = Math.max(0.01, ...before), colours = document.body.classList.contains("dark") ? DARK_WAVES : WAVES;
    const heard = { before, after: after.map((a, n) => (1 - s) * before[n] + s * a),
      removed: after.map((a, n) => s * Math.max(0, before[n] - a)) }[side];
    for (const [outline, colour, alpha] of [[before, colours.before, 0.45], [heard, colours[side], 1]]) {
      pen.fillStyle = colour;
      pen.globalAlpha = alpha;
      for (let x = LEFT; x < wide; x++) {
        const at = from + ((to - from) * (x - LEFT)) / (wide - LEFT), n = Math.floor(at * outline.length);
        const until = Math.max(n + 1, Math.floor((at + (to - from) / (wide - LEFT)) * outline.length));
        let peak = 0;
        for (let k = n; k < until && k < outline.length; k++) peak = Math.max(peak, outline[k]);
        const size = Math.max(1, ((high - 6) * Math.min(peak, loudest)) / loudest);
        pen.fillRect(x, (high - size) / 2, 1, size);
      }
    }
    pen.globalAlpha = 1;
  }

  function drawSpectrogram(pen, wide, top, bottom) {
    pen.fillStyle = `rgb(${RAMPS[state.side][0]})`;
    pen.fillRect(LEFT, top, wide - LEFT, bottom - top);
    const { sheet, image, from, to } = state, seconds = host.seconds();
    if (!sheet || !image || !seconds) return;
    const across = (wide - LEFT) / (to - from), x = (share) => LEFT + (share - from) * across;
    pen.save();
    pen.beginPath(); pen.rect(LEFT, top, wide - LEFT, bottom - top); pen.clip();
    pen.imageSmoothingEnabled = true;
    const left = x(sheet.left / seconds), right = x(sheet.right / seconds);
    pen.drawImage(image, left, top, right - left, bottom - top);
    pen.restore();
  }

  function drawAxes(pen, wide, top, bottom, high) {
    const style = getComputedStyle(canvas), seconds = host.seconds();
    pen.fillStyle = style.color;
    pen.font = `11px ${style.fontFamily}`;
    pen.textAlign = "right"; pen.textBaseline = "middle";
    for (const [khz, share] of state.sheet?.ticks ?? [])
      pen.fillText(`${khz}k`, LEFT - 4, Math.max(top + 6, bottom - share * (bottom - top)));
    pen.textAlign = "center"; pen.textBaseline = "bottom";
    const shown = seconds * (state.to - state.from), most = Math.max(2, (wide - LEFT) / 70);
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].find((s) => shown / s <= most) ?? 7200;
    for (let t = Math.ceil((seconds * state.from) / step) * step; t <= seconds * state.to + 1e-6; t += step) {
      const x = LEFT + (wide - LEFT) * ((t / seconds - state.from) / (state.to - state.from));
      const text = step < 1 ? t.toFixed(1) : window.denoiser.clock(t);
      pen.fillText(text, Math.min(wide - 12, Math.max(LEFT + 12, x)), high);
    }
  }

  // ---- view
  function zoom(factor, at = host.now() / (host.seconds() || 1)) {
    const span = Math.min(1, Math.max(1 / MOST_ZOOM, (state.to - state.from) * factor));
    const share = Math.min(1, Math.max(0, (at - state.from) / (state.to - state.from)));
    move(at - share * span, span);
  }
  function move(from, span = state.to - state.from) {
    state.from = Math.min(1 - span, Math.max(0, from));
    state.to = state.from + span;
    draw();
  }
  const at = (event) => { // share of the whole under the pointer
    const { left, width } = canvas.getBoundingClientRect();
    return state.from + (state.to - state.from) * Math.min(1, Math.max(0, (event.clientX - left - LEFT) / (width - LEFT)));
  };
  canvas.addEventListener("wheel", (event) => {
    if (event.deltaX && Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      if (!zoomed()) return;
      move(state.from + (event.deltaX / canvas.clientWidth) * (state.to - state.from));
    } else if (event.ctrlKey || event.altKey || event.shiftKey || zoomed() || document.activeElement === canvas)
      zoom(1.0015 ** event.deltaY, at(event));
    else return; // the page scrolls
    event.preventDefault();
  }, { passive: false });

  const fingers = new Map();
  let pinched = null;
  canvas.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    canvas.setPointerCapture(event.pointerId);
    if (fingers.size === 1) host.seek(at(event) * host.seconds());
    else pinched = { span: state.to - state.from, apart: apart() };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, event);
    if (fingers.size === 1 && !pinched) host.seek(at(event) * host.seconds());
    else if (pinched && fingers.size === 2)
      zoom((pinched.span * pinched.apart) / Math.max(10, apart()) / (state.to - state.from), at(event));
  });
  for (const kind of ["pointerup", "pointercancel"])
    canvas.addEventListener(kind, (event) => {
      fingers.delete(event.pointerId);
      if (!fingers.size) pinched = null;
    });
  const apart = () => {
    const [a, b] = [...fingers.values()];
    return Math.abs(a.clientX - b.clientX);
  };
  const zoomed = () => state.to - state.from < 0.999;
  const view = () => [state.from * host.seconds(), state.to * host.seconds()];
  return { load, look, draw, zoom, zoomed, view };
}
