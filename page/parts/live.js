// The site of web/, as tall as what it shows. It is fetched when its tab is opened for the first time.
const { say } = window.denoiser;
const frame = element.querySelector(".live");
frame.title = say(frame.dataset.title);

const fit = () => {
  const shown = frame.contentDocument?.body;
  if (shown) frame.style.height = `${shown.scrollHeight}px`;
};
frame.addEventListener("load", () => {
  const shown = frame.contentDocument?.body;
  if (!shown) return; // it is not to be had: the browser shows why
  Object.assign(shown.style, { background: "none", padding: "0" }); // as a part of this page
  new ResizeObserver(fit).observe(shown);
});
new IntersectionObserver((entries, observer) => {
  if (!entries.some((entry) => entry.isIntersecting)) return;
  observer.disconnect();
  frame.src = `${window.gradio_config.root}/live/index.html`;
}).observe(frame);
