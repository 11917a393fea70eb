// The file to take away. From the moment that anything about it is changed until it is there the
// button says so and gives nothing: never the file from before the last change.
// props.value: { number, state: "preparing", form, share } or { ..., state: "ready", path, name, ... }.
const { say, number, tell, file, mounted } = window.denoiser;
const part = (selector) => element.querySelector(selector);
const once = mounted("take");
const STRENGTH_RESTS_MS = 300;
let asked = 0, waiting = null;

const checked = (id) => document.querySelector(`#${id} input:checked`);
const title = (form) => say(`form.${form}`);

function draw(state) {
  const link = part(".download"), ready = state.state === "ready";
  link.setAttribute("aria-disabled", String(!ready));
  link.tabIndex = ready ? 0 : -1;
  if (ready) {
    link.href = file(state.path);
    link.download = state.name;
    link.textContent = say("download", { form: title(state.form) });
  } else {
    link.removeAttribute("href");
    link.removeAttribute("download");
    const percent = Math.round(100 * (state.share ?? 0));
    link.textContent = say(percent ? "preparing.share" : "preparing", { form: title(state.form), percent });
  }
  part(".reached").value = ready ? reached(state) : "";
}

function reached({ lufs, peak, unit, target, silent, notes = [] }) {
  const said = [];
  if (lufs > -70) said.push(say("reached", { lufs: number(lufs, 1), peak: number(Math.max(-80, peak), 1), unit }));
  if (silent) said.push(say("reached.silent"));
  else if (target && target - lufs > 0.2)
    said.push(say("reached.short", { by: number(target - lufs, 1), target: number(target) }));
  return [...said, ...notes].join(" ");
}

// `number` tells the answer to this from the answers to what was asked before.
function want(after, form = checked("form")?.value ?? "wav") {
  clearTimeout(waiting);
  asked += 1;
  const mine = asked;
  draw({ state: "preparing", form });
  waiting = setTimeout(() => trigger("wanted", { number: mine }), after);
}

document.addEventListener("input", ({ target }) => {
  if (target.closest("#strength") && target.type) {
    tell("strength", Number(target.value));
    want(STRENGTH_RESTS_MS);
  } else if (target.closest("#form")) want(50, target.value); // the other one is still checked, too
  else if (target.closest("#loudness, #dnsmos")) want(50);
}, once);
document.addEventListener("denoiser:result", () => want(100), once);
watch("value", () => {
  const state = props.value;
  if (!state || state.number !== asked) return;
  draw(state);
  if (state.facts) tell("facts", state.facts);
});
