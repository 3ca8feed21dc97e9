/**
 * `stream-read.ts FILE LIMIT_SECONDS`: reads a file (`-` for stdin) from front to back in pieces of 1 MiB, no longer than
 * the limit; prints `{"bytes", "seconds", "samples": [[seconds, bytes], …]}`, a sample each 20 ms or more.
 */
import { openSync, readSync } from 'node:fs';

const SAMPLE_MS = 20;

const [path = '', limitText = ''] = process.argv.slice(2);
const file = path === '-' ? 0 : openSync(path, 'r');
const buffer = Buffer.alloc(1024 * 1024);
const samples: [number, number][] = [];
const startMs = performance.now();
let bytes = 0;
let sampledMs = startMs;
for (;;) {
  const length = readSync(file, buffer, 0, buffer.length, null);
  const nowMs = performance.now();
  bytes += length;
  if (nowMs - sampledMs >= SAMPLE_MS || length === 0) {
    samples.push([(nowMs - startMs) / 1000, bytes]);
    sampledMs = nowMs;
  }
  if (length === 0 || nowMs - startMs > Number(limitText) * 1000) break;
}
console.log(JSON.stringify({ bytes, seconds: (performance.now() - startMs) / 1000, samples }));
