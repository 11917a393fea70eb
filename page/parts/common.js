// What all parts of the page share: words, times, addresses, uploads. WORDS is put in by the server.
window.denoiser = (() => {
  const words = WORDS;
  const wanted = navigator.languages?.length ? navigator.languages : [navigator.language || "en"];
  const language = wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in words) ?? "en";
  // Gradio would show its own words in a language that this page does not speak
  Object.defineProperty(navigator, "language", { get: () => language });
  Object.defineProperty(navigator, "languages", { get: () => [language] });
  document.documentElement.lang = language;

  const say = (key, values = {}) =>
    (words[language][key] ?? words.en[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
  const number = (value, digits = 0) =>
    value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits })
      .replace("-", "−");
  const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
  const about = (s) => // a time as people say it
    s >= 55 ? say("time.minutes", { n: Math.ceil(s / 60) })
      : say("time.seconds", { n: s > 12 ? 5 * Math.ceil(s / 5) : Math.max(1, Math.ceil(s)) });
  const place = (n) => {
    const rule = new Intl.PluralRules(language, { type: "ordinal" }).select(n);
    const forms = Object.fromEntries(say.raw("ordinals").split(" ").map((form) => form.split(":")));
    return (forms[rule] ?? forms.other).replace("{n}", n);
  };
  say.raw = (key) => words[language][key] ?? words.en[key];

  const api = (path) => `${window.gradio_config.root}${window.gradio_config.api_prefix}${path}`;
  const file = (path) => api(`/file=${encodeURIComponent(path)}`);
  // A file to the server, with the share that has arrived; `signal` ends it.
  const sendFile = (content, name, onshare, signal) => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(), form = new FormData();
    form.append("files", content, name);
    request.upload.onprogress = (event) => event.lengthComputable && onshare(event.loaded / event.total);
    request.onload = () => {
      try { resolve(JSON.parse(request.responseText)[0]); } catch (error) { reject(error); }
    };
    request.onerror = request.onabort = () => reject(new Error("upload"));
    signal?.addEventListener("abort", () => request.abort());
    request.open("POST", api("/upload"));
    request.send(form);
  });

  // data-word: text; data-label: what a screen reader says
  const speak = (element) => {
    for (const node of element.querySelectorAll("[data-word]")) node.textContent = say(node.dataset.word);
    for (const node of element.querySelectorAll("[data-label]"))
      node.setAttribute("aria-label", say(node.dataset.label));
  };
  const tell = (name, detail) => document.dispatchEvent(new CustomEvent(`denoiser:${name}`, { detail }));
  // Listen as long as a part is on the page; a part that is mounted anew takes its own place.
  const controllers = {};
  const mounted = (name) => {
    controllers[name]?.abort();
    return { signal: (controllers[name] = new AbortController()).signal };
  };
  // One sound at a time, whatever it comes from
  const quiet = (except) => tell("play", except);
  document.addEventListener("play", (event) => quiet(event.target), true);
  document.addEventListener("denoiser:play", ({ detail }) => {
    for (const other of document.querySelectorAll("audio, video")) if (other !== detail) other.pause();
  });
  return { say, number, clock, about, place, file, sendFile, speak, tell, mounted, quiet, language };
})();
