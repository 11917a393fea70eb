// Without a network: the page comes from here as it last came from its server. The model and its
// runtime, 5 MB, are kept once they were used. This worker asks nobody but that server.
const CACHE = "denoiser-live";
const FILES = ["./", "./app.css", "./app.js", "./app.webmanifest", "./devices.js", "./files.js", "./icon.svg",
  "./live.js", "./outline.js", "./player.js", "./recording.js", "./rolling.js", "./strings.json", "./words.js",
  "./sound/cleaner.js", "./sound/columns.js", "./sound/dsp.js", "./sound/engine.js", "./sound/level.js",
  "./sound/line.js", "./sound/network.js", "./sound/stream.js", "./sound/trouble.js", "./sound/wav.js",
  "./sound/worker.js"];

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(self.registration.scope)) event.respondWith(answer(event.request));
});

async function install() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
  await self.skipWaiting();
}

// The server's answer, or what it last was. An address with a digest never changes what it means.
async function answer(request) {
  const cache = await caches.open(CACHE), kept = await cache.match(request);
  if (kept && new URL(request.url).search.startsWith("?sha256=")) return kept;
  try {
    const response = await fetch(request);
    if (response.ok) await keep(cache, request, response.clone());
    return response;
  } catch (error) {
    if (kept) return kept;
    throw error;
  }
}

// One version of each file
async function keep(cache, request, response) {
  await cache.delete(request, { ignoreSearch: true });
  await cache.put(request, response);
}
