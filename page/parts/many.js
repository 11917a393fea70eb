// Many files: a row for each, with its upload, its place in line, its progress, play and download.
// props.value: { run, rows: [{ name, state, share, left, place, wait, path, output, ... }], zip }.
const { say, speak, number, about, place, clock, sendFile, file, quiet, mounted } = window.denoiser;
const part = (selector) => element.querySelector(selector);
const once = mounted("many");
const player = (window.denoiser.taster ??= new Audio());
let files = [], run = null, running = false, since = 0;
speak(element);

async function add(chosen) {
  if (running) return;
  const added = [...chosen].map((content) => ({ name: content.name, content, state: "uploading", share: 0 }));
  files = [...files.filter((row) => !row.output && row.state !== "refused"), ...added];
  part(".zip").hidden = true;
  draw();
  for (const row of added) {
    try {
      row.path = await sendFile(row.content, row.name, (share) => { row.share = share; update(row); });
      row.state = "here";
    } catch {
      Object.assign(row, { state: "refused", sentence: say("upload.failed") });
    }
    delete row.content;
    update(row);
    buttons();
  }
}

function start() {
  const sent = files.filter((row) => row.path);
  run = String(Date.now());
  running = true;
  for (const row of sent) Object.assign(row, { state: "batch.waiting", source: row.path });
  since = performance.now();
  draw();
  trigger("start", { run, files: sent.map(({ path, name }) => ({ path, name })) });
}

function stop() {
  running = false;
  for (const row of files) if (busy(row)) row.state = "stopped";
  trigger("stop", { run });
  run = null;
  draw();
}

const busy = (row) => ["batch.waiting", "waiting", "reading", "working", "preparing"].includes(row.state);

function words(row) {
  const passed = (performance.now() - since) / 1000, later = (s) => about(Math.max(1, s - passed));
  const percent = Math.round(100 * (row.share ?? 0));
  switch (row.state) {
    case "uploading": return say("uploading", { percent });
    case "here": return "";
    case "waiting": return say("waiting", { place: place(row.place), n: row.place, time: later(row.wait) });
    case "working": return say("working", { percent, time: later(row.left) });
    case "reading": return `${say("reading")} · ${say("time.seconds", { n: Math.round(passed) })}`;
    case "preparing": return say(percent ? "preparing.share" : "preparing", { form: say(`form.${row.form}`), percent });
    case "refused": return row.sentence;
    case "done": return [clock(row.seconds), row.quieter > 0 ? say("quieter", { db: row.quieter }) : say("quieter.none"),
      ...(row.notes ?? [])].join(" · ");
    default: return say(row.state);
  }
}

function line(row, index) {
  const item = document.createElement("li");
  item.innerHTML = `<div class="names"><span class="name"></span><span class="output"></span></div>
    <div class="doing"><span class="what"></span><div class="bar" hidden><div class="done"></div></div></div>
    <div class="acts"><button type="button" class="listen" hidden></button><a class="get" hidden></a>
    <button type="button" class="remove" hidden>×</button></div>`;
  item.dataset.index = index;
  return item;
}

function update(row) {
  const item = part(`.rows li[data-index="${files.indexOf(row)}"]`);
  if (!item) return;
  const find = (selector) => item.querySelector(selector);
  find(".name").textContent = row.name;
  find(".output").textContent = row.output ? `→ ${row.output}` : "";
  find(".what").textContent = words(row);
  item.classList.toggle("bad", row.state === "refused");
  const share = ["uploading", "working", "preparing"].includes(row.state) ? row.share : null;
  find(".bar").hidden = !["uploading", "waiting", "reading", "working", "preparing"].includes(row.state);
  find(".bar").classList.toggle("unknown", share === null);
  find(".done").style.width = share === null ? "" : `${100 * share}%`;
  const done = row.state === "done", playing = done && !player.paused && player.dataset.path === row.path;
  find(".listen").hidden = find(".get").hidden = !done;
  find(".listen").textContent = say(playing ? "pause" : "play");
  find(".listen").setAttribute("aria-label", `${say(playing ? "pause" : "play")}: ${row.output}`);
  if (done) Object.assign(find(".get"), { href: file(row.path), download: row.output, textContent: say("download", { form: "" }).trim() });
  find(".get").setAttribute("aria-label", say("download", { form: row.output ?? "" }));
  find(".remove").hidden = running || done;
  find(".remove").setAttribute("aria-label", say("remove", { name: row.name }));
}

function buttons() {
  part(".run").hidden = !files.length;
  part(".all").hidden = running;
  part(".all").disabled = !files.some((row) => row.path && !row.output) || files.some((row) => row.state === "uploading");
  part(".stop").hidden = !running;
  const done = files.filter((row) => row.state === "done").length;
  part(".tally").textContent = running || done ? say("batch.done", { done, count: files.length }) : "";
}

function draw() {
  part(".rows").replaceChildren(...files.map(line));
  files.forEach(update);
  buttons();
}

function hear() {
  const value = props.value;
  if (!value || value.run !== run) return;
  const waiting = files.filter((row) => row.source);
  value.rows.forEach((row, n) => Object.assign(waiting[n] ?? {}, row, { name: waiting[n]?.name ?? row.name }));
  since = performance.now();
  if (value.over) {
    running = false;
    part(".zip").hidden = !value.zip;
    if (value.zip) Object.assign(part(".zip"), { href: file(value.zip), download: "denoised.zip" });
    for (const row of files) { delete row.source; if (row.state === "refused") row.path = null; }
  }
  files.forEach(update);
  buttons();
}

player.addEventListener("ended", () => files.forEach(update), once);
player.addEventListener("pause", () => files.forEach(update), once);
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const row = files[button.closest("li")?.dataset.index];
  if (button.matches(".choose")) part(".file").click();
  else if (button.matches(".all")) start();
  else if (button.matches(".stop")) stop();
  else if (button.matches(".remove")) { files = files.filter((other) => other !== row); draw(); }
  else if (button.matches(".listen")) {
    if (!player.paused && player.dataset.path === row.path) player.pause();
    else {
      quiet(player);
      player.dataset.path = row.path;
      player.src = file(row.path);
      player.play().then(() => files.forEach(update), () => {});
    }
  }
});
part(".file").addEventListener("change", ({ target }) => { add(target.files); target.value = ""; });
const box = part(".many");
for (const kind of ["dragenter", "dragover"])
  box.addEventListener(kind, (event) => { event.preventDefault(); box.classList.add("over"); });
for (const kind of ["dragleave", "drop"]) box.addEventListener(kind, () => box.classList.remove("over"));
box.addEventListener("drop", (event) => { event.preventDefault(); add(event.dataTransfer.files); });
document.addEventListener("denoiser:play", ({ detail }) => detail !== player && player.pause(), once);
const timer = setInterval(() => running && files.filter(busy).forEach(update), 1000);
const sizes = new ResizeObserver(() => element.offsetParent || player.pause());
sizes.observe(element);
once.signal.addEventListener("abort", () => { clearInterval(timer); sizes.disconnect(); });
watch("value", hear);
