// The rolling spectrogram: the last 10 s, the original above in grey, cleaned below in indigo.
import { height, ROWS } from "./sound/columns.js";

const COLUMNS = 625; // hops of 16 ms
const LEFT = 34, GAP = 6; // px
const TICKS = [1000, 4000, 16000]; // Hz
const RAMPS = {
  before: [[22, 24, 31], [120, 128, 145], [245, 247, 250]],
  after: [[16, 16, 40], [99, 102, 241], [238, 242, 255]],
};

// 256 colours of a ramp, as bytes
const palette = ([low, middle, high]) => Array.from({ length: 256 }, (_, level) => {
  const share = level / 255, [from, to, part] = share < 0.6 ? [low, middle, share / 0.6] : [middle, high, (share - 0.6) / 0.4];
  return from.map((value, c) => value + part * (to[c] - value));
});

export class Rolling {
  constructor(canvas) {
    this.canvas = canvas;
    this.sides = ["before", "after"].map((side) => ({ side, colours: palette(RAMPS[side]), sheet: sheet(RAMPS[side][0]) }));
    this.at = 0; // the column that is written next
    this.asked = false;
  }

  // Levels of one hop, { before, after }
  add(levels) {
    for (const { side, colours, sheet } of this.sides) {
      const image = new ImageData(1, ROWS);
      for (let row = 0; row < ROWS; row++)
        image.data.set([...colours[levels[side][row]], 255], 4 * (ROWS - 1 - row));
      sheet.getContext("2d").putImageData(image, this.at, 0);
    }
    this.at = (this.at + 1) % COLUMNS;
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.asked = false;
    const { clientWidth: wide, clientHeight: high } = this.canvas, ratio = window.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: Math.round(wide * ratio), height: Math.round(high * ratio) });
    const pen = this.canvas.getContext("2d"), each = (high - GAP) / 2;
    pen.scale(ratio, ratio);
    this.sides.forEach(({ sheet }, n) => {
      this.drawSheet(pen, sheet, wide - LEFT, n * (each + GAP), each);
      this.drawTicks(pen, n * (each + GAP), each);
    });
  }

  // The oldest column, which is written next, comes first
  drawSheet(pen, sheet, wide, top, high) {
    const old = COLUMNS - this.at, edge = LEFT + (wide * old) / COLUMNS;
    pen.drawImage(sheet, this.at, 0, old, ROWS, LEFT, top, edge - LEFT, high);
    if (this.at) pen.drawImage(sheet, 0, 0, this.at, ROWS, edge, top, LEFT + wide - edge, high);
  }

  drawTicks(pen, top, high) {
    const style = getComputedStyle(this.canvas);
    pen.fillStyle = style.color;
    pen.font = `11px ${style.fontFamily}`;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const hz of TICKS) pen.fillText(`${hz / 1000}k`, LEFT - 4, top + high * (1 - height(hz)));
  }
}

function sheet(colour) {
  const canvas = Object.assign(document.createElement("canvas"), { width: COLUMNS, height: ROWS });
  const pen = canvas.getContext("2d");
  pen.fillStyle = `rgb(${colour})`;
  pen.fillRect(0, 0, COLUMNS, ROWS);
  return canvas;
}
