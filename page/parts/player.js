// The player. One file holds the noisy recording and the enhanced one side by side as channels, so
// all that is heard is mixed from it here: no two files to keep in step, no server when strength
// moves. The picture is drawn by page/parts/picture.js, which is put before this file.
// props.value: { name, path, sides: 1 or 2, match_db, strength, outlines, picture, link, facts, play }.
const { say, number, clock, speak, tell, quiet, file, mounted } = window.denoiser;
const part = (selector) => element.querySelector(selector);
const once = mounted("player");
// One Audio and one AudioContext for as long as the page is open
const sound = (window.denoiser.sound ??= { audio: new Audio(), context: null });
const { audio } = sound;
audio.preload = "auto";
audio.preservesPitch = true;
const player = { side: "after", strength: 1, sides: 1, match: 1, gains: [], merge: null };
const picture = makePicture(part(".picture"), {
  seconds: () => audio.duration || props.value?.facts?.seconds || 0,
  now: () => audio.currentTime, seek, changed: show });
speak(element);

// What of the noisy recording and of the enhanced one is heard: [noisy, enhanced].
function shares() {
  const s = player.strength;
  const loud = player.match ** s; // files stay as they are: only the ear's comparison is levelled
  return { before: [1, 0], after: [(1 - s) * loud, s * loud], removed: [s, -s] }[player.side];
}

function connect() {
  if (!sound.context) {
    const context = (sound.context = new AudioContext());
    sound.split = context.createChannelSplitter(4);
    sound.merge = context.createChannelMerger(2);
    context.createMediaElementSource(audio).connect(sound.split);
    sound.gains = [0, 1, 2, 3].map((channel) => {
      const gain = context.createGain();
      sound.split.connect(gain, channel);
      return gain;
    });
    sound.merge.connect(context.destination);
  }
  wire();
}

// Channels are noisy, enhanced (mono), or noisy left and right, enhanced left and right.
function wire() {
  sound.gains.forEach((gain, channel) => {
    gain.disconnect();
    if (channel >= 2 * player.sides) return;
    for (const ear of player.sides === 1 ? [0, 1] : [channel % 2]) gain.connect(sound.merge, 0, ear);
  });
  mix();
}

function mix() {
  const share = shares();
  sound.gains?.forEach((gain, channel) => {
    const which = Math.floor(channel / player.sides) % 2;
    gain.gain.setTargetAtTime(share[which], sound.context.currentTime, 0.01);
  });
  picture.look(player.side, player.strength);
}

function choose(side) {
  player.side = side;
  for (const button of element.querySelectorAll("[data-side]"))
    button.setAttribute("aria-pressed", String(button.dataset.side === side));
  const floors = props.value?.facts?.floors ?? {};
  part("#denoiser-picture").textContent = say("picture", { side: say(side), floor: floor(floors[side] ?? floors.before) });
  mix();
}

function floor(db) {
  if (db === undefined) return "";
  return db < -80 ? say("below", { limit: `${number(-80)} dBFS` }) : `${number(db)} dBFS`;
}

async function play() {
  if (!audio.src) return;
  if (!sound.context) connect();
  sound.context.resume(); // not awaited: it may never come where there is no audio device
  quiet(audio);
  await audio.play().catch(() => {}); // browsers may want a click first
}

function toggle() {
  if (audio.paused) play();
  else audio.pause();
}

function seek(seconds) {
  const length = audio.duration || 0;
  audio.currentTime = Math.max(0, Math.min(length, seconds));
  show();
}

function show() {
  const length = audio.duration || props.value?.facts?.seconds || 0, button = part(".play");
  part(".time").value = `${clock(audio.currentTime)} / ${clock(length)}`;
  const slider = part(".picture");
  slider.setAttribute("aria-valuemax", length.toFixed(1));
  slider.setAttribute("aria-valuenow", audio.currentTime.toFixed(1));
  slider.setAttribute("aria-valuetext", part(".time").value);
  button.classList.toggle("playing", !audio.paused);
  button.setAttribute("aria-label", say(audio.paused ? "play" : "pause"));
  picture.draw();
}

// The line for people.
function tellFacts(facts) {
  if (!facts) return;
  const quieter = Math.round(Math.max(-80, facts.floors.before) - Math.max(-80, facts.floors.after));
  const channels = say(facts.channels <= 2 ? `channels.${facts.channels}` : "channels.n", { n: facts.channels });
  const took = facts.took < 10 ? number(facts.took, 1) : number(facts.took);
  part(".facts").textContent = [
    quieter > 0 ? say("quieter", { db: quieter }) : say("quieter.none"), clock(facts.seconds), channels,
    say("took", { time: `${took} s` })].join(" · ");
  part(".remark").textContent = facts.remark ?? "";
  part(".remark").hidden = !facts.remark;
}

function load() {
  audio.pause();
  if (!props.value?.path) return;
  const { name, path, sides, match_db, strength, facts, link } = props.value;
  Object.assign(player, { sides, strength, match: 10 ** (match_db / 20) });
  audio.src = file(path);
  part(".title").textContent = name;
  part(".copy").hidden = !link;
  part(".copied").value = "";
  document.body.dataset.result = "here";
  picture.load(props.value);
  tellFacts(facts);
  if (sound.context) wire();
  choose("after");
  show();
  tell("result", props.value);
  requestAnimationFrame(() => { // when it has its place on the page
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    element.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
    part(".play").focus({ preventScroll: true });
    if (props.value.play) play();
  });
}

// The address that computes this again, with the strength as it is now.
async function copy() {
  const link = { ...props.value.link, strength: Math.round(100 * player.strength) };
  const address = `${location.origin}${location.pathname}?${new URLSearchParams(link)}`;
  // There is no clipboard for pages without https
  const copied = await navigator.clipboard?.writeText(address).then(() => true, () => false);
  part(".copied").value = say(copied ? "copied" : "not_copied") + address;
}

for (const event of ["play", "pause", "ended", "timeupdate", "loadedmetadata", "seeked"])
  audio.addEventListener(event, show, once);
audio.addEventListener("timeupdate", () => { // a loop is that of what is in view
  const [from, to] = picture.view();
  if (audio.loop && picture.zoomed() && audio.currentTime >= to) audio.currentTime = from;
}, once);
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.side) choose(button.dataset.side);
  else if (button.matches(".play")) toggle();
  else if (button.matches(".back")) seek(audio.currentTime - 5);
  else if (button.matches(".forward")) seek(audio.currentTime + 5);
  else if (button.matches(".zoom-in")) picture.zoom(0.5);
  else if (button.matches(".zoom-out")) picture.zoom(2);
  else if (button.matches(".copy")) copy();
  else if (button.matches(".loop")) {
    audio.loop = !audio.loop;
    button.setAttribute("aria-pressed", String(audio.loop));
  }
});
part(".speed").addEventListener("change", ({ target }) => (audio.playbackRate = Number(target.value)));
part(".picture").addEventListener("keydown", (event) => {
  const length = audio.duration || 0;
  const to = { ArrowLeft: audio.currentTime - 5, ArrowRight: audio.currentTime + 5, Home: 0, End: length }[event.key];
  if (to === undefined) return;
  seek(to);
  event.preventDefault();
});
// The keys, wherever the focus is that has no use for them itself.
document.addEventListener("keydown", (event) => {
  const busy = event.target.closest("input:not([type=range]), textarea, select, [contenteditable]");
  if (busy || event.ctrlKey || event.metaKey || event.altKey || !element.offsetParent) return;
  const side = { 1: "before", 2: "after", 3: "removed" }[event.key];
  if (side) choose(side);
  else if (event.key === " " && audio.src && !event.target.closest("button, a, label, [role=tab]")) toggle();
  else return;
  event.preventDefault();
}, once);
document.addEventListener("denoiser:play", ({ detail }) => detail !== audio && audio.pause(), once);
document.addEventListener("denoiser:strength", ({ detail }) => { player.strength = detail / 100; mix(); }, once);
document.addEventListener("denoiser:facts", ({ detail }) => tellFacts(detail), once);
document.addEventListener("denoiser:run", () => { audio.pause(); document.body.dataset.result &&= "old"; }, once);
document.addEventListener("denoiser:status", ({ detail }) => {
  if (["stopped", "refused"].includes(detail.state)) document.body.dataset.result &&= "here";
}, once);
const sizes = new ResizeObserver(() => { // in another tab of the page nobody could stop it
  if (!element.offsetParent) audio.pause();
  picture.draw();
});
sizes.observe(element);
once.signal.addEventListener("abort", () => sizes.disconnect());
watch("value", load);
load();
