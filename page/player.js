// The player. One file holds the noisy recording and the estimate side by side as channels, so all
// that is heard is mixed from it here: no two files to keep in step, no server when strength moves.
// props.value: { path, sides: 1 or 2, match_db, strength, outlines, link, words }, or null.
const audio = new Audio();
audio.preload = "auto";
const part = (selector) => element.querySelector(selector);
const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
const player = { side: "after", strength: 1, sides: 1, match: 1, context: null, gains: [] };
const words = () => props.value?.words ?? {};

// What of the noisy recording and of the estimate is heard: [noisy, estimate].
function shares() {
  const s = player.strength;
  const loud = player.match ** s; // files stay as they are: only the ear's comparison is levelled
  return { before: [1, 0], after: [(1 - s) * loud, s * loud], removed: [s, -s] }[player.side];
}

function connect() {
  const context = new AudioContext();
  const split = context.createChannelSplitter(4), merge = context.createChannelMerger(2);
  context.createMediaElementSource(audio).connect(split);
  player.gains = [0, 1, 2, 3].map((channel) => {
    const gain = context.createGain();
    split.connect(gain, channel);
    return gain;
  });
  merge.connect(context.destination);
  Object.assign(player, { context, merge });
  wire();
}

// Channels are noisy, estimate (mono), or noisy left and right, estimate left and right.
function wire() {
  player.gains.forEach((gain, channel) => {
    gain.disconnect();
    if (channel >= 2 * player.sides) return;
    for (const ear of player.sides === 1 ? [0, 1] : [channel % 2]) gain.connect(player.merge, 0, ear);
  });
  mix();
}

function mix() {
  const share = shares();
  player.gains.forEach((gain, channel) => {
    const which = Math.floor(channel / player.sides) % 2;
    gain.gain.setTargetAtTime(share[which], player.context.currentTime, 0.01);
  });
  draw();
}

function choose(side) {
  player.side = side;
  for (const button of element.querySelectorAll("[data-side]"))
    button.setAttribute("aria-pressed", String(button.dataset.side === side));
  mix();
}

async function toggle() {
  if (!audio.src) return;
  if (!player.context) connect();
  await player.context.resume();
  if (audio.paused) await audio.play();
  else audio.pause();
}

// The waveform: what was before, pale, and what is heard now over it.
function draw() {
  const { before = [], after = [] } = props.value?.outlines ?? {};
  const canvas = part(".wave"), pen = canvas.getContext("2d");
  const { width, height } = canvas, top = Math.max(0.01, ...before), s = player.strength;
  const heard = { before, after: after.map((a, n) => (1 - s) * before[n] + s * a),
    removed: after.map((a, n) => s * Math.max(0, before[n] - a)) }[player.side];
  const colour = getComputedStyle(canvas);
  pen.clearRect(0, 0, width, height);
  for (const [outline, name] of [[before, "--pale"], [heard, "--strong"]]) {
    pen.fillStyle = colour.getPropertyValue(name);
    outline.forEach((peak, n) => {
      const size = Math.max(2, (height * Math.min(peak, top)) / top);
      pen.fillRect((n * width) / outline.length, (height - size) / 2, width / outline.length, size);
    });
  }
}

function show() {
  const length = audio.duration || 0, button = part(".play"), { play, pause } = words();
  part(".time").value = `${clock(audio.currentTime)} / ${clock(length)}`;
  part(".seek").value = length ? audio.currentTime / length : 0;
  part(".seek").setAttribute("aria-valuetext", part(".time").value);
  button.classList.toggle("playing", !audio.paused);
  button.setAttribute("aria-label", (audio.paused ? play : pause) ?? "Play");
}

function load() {
  audio.pause();
  if (!props.value) return audio.removeAttribute("src");
  const { path, sides, match_db, strength } = props.value;
  const { root, api_prefix } = window.gradio_config;
  audio.src = `${root}${api_prefix}/file=${encodeURIComponent(path)}`;
  Object.assign(player, { sides, strength, match: 10 ** (match_db / 20) });
  for (const node of element.querySelectorAll("[data-word]"))
    node.textContent = words()[node.dataset.word];
  for (const node of element.querySelectorAll("[data-label]"))
    node.setAttribute("aria-label", words()[node.dataset.label]);
  part(".said").value = "";
  if (player.context) wire();
  choose("after");
  show();
}

// The address that computes this again, with the strength as it is now.
async function copy() {
  const link = { ...props.value.link, strength: Math.round(100 * player.strength) };
  const address = `${location.origin}${location.pathname}?${new URLSearchParams(link)}`;
  const kept = "example" in link || "url" in link;
  // There is no clipboard for pages without https
  const copied = await navigator.clipboard?.writeText(address).then(() => true, () => false);
  const said = [kept ? words().computed_anew : words().settings_only, address];
  part(".said").value = [copied ? words().copied : "", ...said].join(" ").trim();
}

for (const event of ["play", "pause", "ended", "timeupdate", "loadedmetadata"])
  audio.addEventListener(event, show);
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.side) choose(button.dataset.side);
  else if (button?.matches(".copy")) copy();
  else if (button) toggle();
});
element.addEventListener("input", (event) => {
  audio.currentTime = Number(event.target.value) * (audio.duration || 0);
});
// The keys, wherever the focus is that has no use for them itself.
document.addEventListener("keydown", (event) => {
  const busy = event.target.closest("input:not([type=range]), textarea, select, [contenteditable]");
  if (busy || event.ctrlKey || event.metaKey || event.altKey || !element.offsetParent) return;
  const side = { 1: "before", 2: "after", 3: "removed" }[event.key];
  if (side) choose(side);
  else if (event.key === " " && !event.target.closest("button, a, label, [role=tab]")) toggle();
  else return;
  event.preventDefault();
});
document.addEventListener("denoiser:strength", (event) => {
  player.strength = event.detail / 100;
  mix();
});
watch("value", load);
load();
