// Copies what the page needs of onnxruntime-web to runtime/, the large file packed: npm runs this.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const here = (path) => new URL(path, import.meta.url);
const dist = "node_modules/onnxruntime-web/dist/";
mkdirSync(here("runtime"), { recursive: true });
copyFileSync(here(`${dist}ort.wasm.bundle.min.mjs`), here("runtime/ort.mjs"));
const wasm = readFileSync(here(`${dist}ort-wasm-simd-threaded.wasm`));
writeFileSync(here("runtime/ort.wasm.gz"), gzipSync(wasm, { level: 9 }));
