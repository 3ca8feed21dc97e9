/**
 * `npm run demo`: everything from nothing to the main job, and away again.
 *
 * Where a Docker engine answers, the managed plugin is built and enabled, a sample tree is added to its local store, and a
 * container reads it by its CID. Where none does (or one on another machine, whose plugin cannot be spoken to from here),
 * the same happens through the plugin's socket and a real FUSE mount. Either way every file read is compared with its source.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInContainer } from './demo-container.ts';
import { runOnMount } from './demo-mount.ts';
import { CHECKSUMS_BELOW, checksumsOf, type Demo, makeSample } from './demo-sample.ts';
import { engineProblem } from './docker.ts';

const startedAt = performance.now();
const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (!interrupt.signal.aborted) console.log('\ninterrupted; cleaning up');
    interrupt.abort(new Error('interrupted'));
  });
}

try {
  await main();
} catch (error) {
  if (!interrupt.signal.aborted) console.error(`the demo failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

async function main(): Promise<void> {
  await using undo = new AsyncDisposableStack();
  undo.defer(() => say('cleaned up'));
  const directory = await mkdtemp(join(tmpdir(), 'ipfs-volume-demo-'));
  undo.defer(() => rm(directory, { recursive: true, force: true }));
  await makeSample(directory);
  const demo: Demo = { directory, signal: interrupt.signal, say, undo };
  const problem = await engineProblem();
  if (problem !== undefined) say(`no Docker engine answers (${problem})`);
  const reading = (problem === undefined ? await runInContainer(demo) : undefined) ?? (await runOnMount(demo));
  const [shown = '', sums = ''] = reading.output.split(`${CHECKSUMS_BELOW}\n`);
  console.log(shown.replace(/^/gm, '    ').trimEnd());
  const expected = await checksumsOf(directory);
  const read = sums.trim().split('\n').sort().join('\n');
  if (read !== expected) throw new Error(`what was read differs from what was added:\n${read}\n${expected}`);
  say(
    `first byte after ${reading.firstByteMs.toFixed(0)} ms, all ${expected.split('\n').length} files read and the same ` +
      `as their source after ${reading.wholeMs.toFixed(0)} ms`,
  );
}

function say(line: string): void {
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${line}`);
}
