// The words of the page in the visitor's language: strings.json, English where there are none.
const words = await (await fetch(new URL("./strings.json", import.meta.url))).json();
const wanted = navigator.languages?.length ? navigator.languages : [navigator.language || "en"];
export const language = wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in words) ?? "en";
export const framed = window.top !== window; // within the page of a server

export const say = (key, values = {}) =>
  (words[language][key] ?? words.en[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

// "1 dropout", "2 dropouts"
export function count(key, n) {
  const form = `${key}.${new Intl.PluralRules(language).select(n)}`;
  return say(form in words[language] ? form : `${key}.other`, { n });
}

export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

// A time as people say it
export const about = (seconds) =>
  seconds >= 55 ? say("minutes", { n: Math.ceil(seconds / 60) }) : say("seconds", { n: Math.max(1, Math.ceil(seconds)) });

// A sentence for what went wrong
export function sentence({ key, values = {} }) {
  const tail = ["large", "codec"].includes(key) ? ` ${say(framed ? "trouble.server.framed" : "trouble.server")}` : "";
  return say(`trouble.${key}`, values) + tail;
}

// Fills in every element with data-say, and every label with data-label
export function fill(values = {}) {
  document.documentElement.lang = language;
  document.title = say("title");
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say, values);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", say(node.dataset.label, values));
}
