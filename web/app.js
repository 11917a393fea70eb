// Puts the page together: words, tabs, and what lies behind each.
import { Files } from "./files.js";
import { Live } from "./live.js";
import { fill, framed } from "./words.js";

fill();
document.documentElement.classList.toggle("framed", framed);
new Live(document.querySelector("#live"));
new Files(document.querySelector("#files"));

const tabs = [...document.querySelectorAll("[role=tab]")];

function show(tab) {
  for (const each of tabs) {
    const chosen = each === tab;
    each.setAttribute("aria-selected", chosen);
    each.tabIndex = chosen ? 0 : -1;
    document.getElementById(each.getAttribute("aria-controls")).hidden = !chosen;
  }
}

for (const [n, tab] of tabs.entries()) {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = tabs[(n + step + tabs.length) % tabs.length];
    show(next);
    next.focus();
  });
}

// The page by itself works without a network, too
if (!framed) navigator.serviceWorker?.register("./sw.js").catch(() => {});
