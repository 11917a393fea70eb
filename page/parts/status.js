// What is going on, always in sight: percent, time left, place in line; and Stop while it goes on.
// props.value, or denoiser:status: { run, state, share, place, wait, left, name, sentence }.
const { say, speak, tell, about, place, mounted } = window.denoiser;
const part = (selector) => element.querySelector(selector);
const once = mounted("status");
const BUSY = ["uploading", "fetching", "starting", "waiting", "reading", "working"];
let now = { state: "idle" }, since = 0, run = null;
let shown = 0; // the largest share of this run: a late sign of the server does not take it back
speak(element);

const passed = () => (performance.now() - since) / 1000; // seconds since the server last said something

// Between two signs of the server the bar goes on as it is expected to.
function share() {
  if (now.state === "uploading") return now.share ?? 0;
  if (now.state !== "working") return null;
  const done = now.share + (1 - now.share) * Math.min(0.95, passed() / Math.max(now.left, 1));
  return (shown = Math.min(0.99, Math.max(now.share, done, shown)));
}

function words() {
  const percent = Math.round(100 * (share() ?? 0));
  const later = (seconds) => about(Math.max(1, seconds - passed()));
  switch (now.state) {
    case "uploading": return say("uploading", { percent });
    case "waiting": return say("waiting", { place: place(now.place), n: now.place, time: later(now.wait) });
    case "working": // a last step may take longer than the rest promised
      if (passed() > now.left + 1) return `${percent} % · ${say("time.seconds", { n: Math.round(passed()) })}`;
      return say("working", { percent, time: later(now.left) });
    case "stopped": return say("stopped");
    default: return `${say(now.state)} · ${say("time.seconds", { n: Math.round(passed()) })}`;
  }
}

function draw() {
  const busy = BUSY.includes(now.state);
  part(".status").hidden = !busy && now.state !== "stopped";
  if (part(".status").hidden) return;
  part(".what").textContent = words();
  part(".stop").hidden = !busy;
  const known = share();
  part(".bar").hidden = !busy;
  part(".bar").classList.toggle("unknown", known === null);
  part(".done").style.width = known === null ? "" : `${100 * known}%`;
  part(".bar").setAttribute("aria-label", words());
  if (known === null) part(".bar").removeAttribute("aria-valuenow");
  else part(".bar").setAttribute("aria-valuenow", Math.round(100 * known));
}

function hear(status) {
  if (!status?.run || status.run !== run) return; // of a run that is over
  if (now.state !== status.state)
    part(".said").textContent = status.state === "done" ? say("ready") : status.state === "refused" ? "" : say(
      status.state === "working" ? "starting" : status.state, { percent: 0, place: status.place && place(status.place),
        n: status.place, time: about(status.wait ?? 0) });
  const same = ["state", "share", "place", "wait"].every((key) => now[key] === status[key]);
  if (!same) since = performance.now();
  now = status;
  draw();
}

element.addEventListener("click", (event) => {
  if (!event.target.closest(".stop")) return;
  const stopped = run;
  tell("status", { run, state: "stopped" });
  run = null;
  trigger("stop", { run: stopped });
});
document.addEventListener("denoiser:run", ({ detail }) => ([run, shown] = [detail.run, 0]), once);
document.addEventListener("denoiser:status", ({ detail }) => hear(detail), once);
const timer = setInterval(draw, 500);
once.signal.addEventListener("abort", () => clearInterval(timer));
watch("value", () => props.value?.run && tell("status", props.value));
