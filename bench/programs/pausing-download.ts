/**
 * `pausing-download.ts GATEWAY CID AT_ONCE SILENCE_MS`: a download by the rule of stargz-snapshotter's background tasks
 * (its `task` package; SILENCE_MS is 5000 there): it runs only while no reader waits and none did for SILENCE_MS. A
 * reader who comes cancels what is on its way, which is fetched again later.
 *
 * So that it knows of readers, they read through it: prints the port on which it passes requests on to the gateway.
 * Downloads from the first line on stdin on, and ends with it.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as after } from 'node:timers/promises';
import { Pool } from 'undici';
import { downloadBelow } from './download-below.ts';

const [gateway = '', root = '', atOnce = '32', silenceText = ''] = process.argv.slice(2);
const silenceMs = Number(silenceText);
const pool = new Pool(gateway, { connections: Number(atOnce) });
const readersPool = new Pool(gateway, { connections: Number(atOnce) });

let readers = 0;
let quietSinceMs = performance.now();
const running = new Set<AbortController>();

const server = createServer((request, response) => {
  readers++;
  for (const download of running) download.abort();
  response.on('close', () => {
    readers--;
    quietSinceMs = performance.now();
  });
  void readersPool.stream({ method: 'GET', path: request.url ?? '/' }, ({ statusCode, headers }) => {
    response.writeHead(statusCode, headers);
    return response;
  });
});
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
process.stdin.on('end', () => process.exit(0));

await once(process.stdin, 'data');
await downloadBelow(root, Number(atOnce), getBlock);

async function getBlock(cid: string): Promise<Uint8Array> {
  for (;;) {
    await silence();
    const controller = new AbortController();
    running.add(controller);
    try {
      const { body } = await pool.request({
        method: 'GET',
        path: `/ipfs/${cid}?format=raw`,
        signal: controller.signal,
      });
      return await body.bytes();
    } catch (error) {
      if (!controller.signal.aborted) throw error;
    } finally {
      running.delete(controller);
    }
  }
}

async function silence(): Promise<void> {
  for (;;) {
    const leftMs = readers > 0 ? silenceMs : quietSinceMs + silenceMs - performance.now();
    if (leftMs <= 0) return;
    await after(leftMs);
  }
}
