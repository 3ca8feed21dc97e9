/** Large blocks as files: where the process may have few of them open, and where the disk is slow. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { BlockFiles } from '../../../src/blocks/disk/block-files.ts';

const MODULE = new URL('../../../src/blocks/disk/block-files.ts', import.meta.url).pathname;

/** Writes a hundred files and reads each twice; prints how many came back as written, and the descriptors open then. */
const PROGRAM = `
  import { openSync, readdirSync } from 'node:fs';
  import { BlockFiles } from '${MODULE}';
  const [directory, hog] = process.argv.slice(1);
  const files = new BlockFiles(directory, 1000);
  for (let id = 0; id < 100; id++) await files.write(id, Buffer.alloc(40_000, id));
  let right = 0;
  for (let id = 0; id < 100; id++) {
    if (id === 50 && hog) try { for (;;) openSync('/dev/null'); } catch {}
    for (const from of [0, 39_990]) right += Number(Buffer.alloc(10, id).equals(await files.read(id, from, from + 10)));
  }
  console.log(right, readdirSync('/proc/self/fd').length);
`;

function readUnder(limit: number, hog: string): number[] {
  const directory = mkdtempSync(join(tmpdir(), 'ipfs-volume-block-files-'));
  try {
    const node = [process.execPath, '--input-type=module', '-e', PROGRAM, directory, hog];
    const output = execFileSync('prlimit', [`--nofile=${limit}:${limit}`, ...node], { encoding: 'utf8' });
    return output.trim().split(' ').map(Number);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('keeps an eighth open of what the process may open', () => {
  const [right, descriptors] = readUnder(160, '');
  expect(right).toBe(200);
  expect(descriptors).toBeLessThan(160 / 2);
});

test('gives up what it keeps where others have opened all the rest', () => {
  expect(readUnder(160, 'hog')[0]).toBe(200);
});

/** Ids of files that take as long to be opened as a test wants: fifos that nobody has opened for writing. */
const SLOW = Array.from({ length: 16 }, (_, id) => id);
const QUICK = 100;

async function slowDisk(directory: string, patienceMs: number): Promise<BlockFiles> {
  const files = new BlockFiles(directory, patienceMs);
  for (const id of SLOW) {
    mkdirSync(dirname(files.path(id)), { recursive: true });
    execFileSync('mkfifo', [files.path(id)]);
  }
  await files.write(QUICK, Buffer.alloc(40_000, 7));
  return files;
}

/** Lets a read of a slow file end. A fifo cannot be read at a position, which is an answer as well. */
async function answer(path: string): Promise<void> {
  for (;;) {
    try {
      return closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
    } catch (error) {
      // Nobody is opening it yet.
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
      await new Promise(setImmediate);
    }
  }
}

test('whoever waits in line has patience as long as the disk answers others, and no longer', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ipfs-volume-block-files-'));
  const files = await slowDisk(directory, 1000);
  const read = async (id: number) => (await files.read(id, 0, 10))[0];
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  // A disk that was read just now would be read in this thread.
  vi.advanceTimersByTime(1000);
  try {
    const slow = SLOW.slice(0, 8).map((id) => read(id).catch(String));
    const last = read(QUICK).catch(String);
    for (const four of [SLOW.slice(0, 4), SLOW.slice(4, 8)]) {
      await vi.advanceTimersByTimeAsync(600);
      for (const id of four) await answer(files.path(id));
      for (const id of four) expect(await slow[id]).toMatch('ESPIPE');
    }
    expect(await last).toBe(7);

    const silent = SLOW.slice(8).map((id) => read(id).catch(String));
    await vi.advanceTimersByTimeAsync(1001);
    for (const said of silent) expect(await said).toMatch('the disk has not answered for 1 s');
    await expect(read(QUICK)).rejects.toThrow('the disk does not answer');
  } finally {
    vi.useRealTimers();
    // All that are being opened, or will be: a thread that is would keep the process from ending.
    const writers = SLOW.map((id) => openSync(files.path(id), constants.O_RDWR | constants.O_NONBLOCK));
    while ((await read(QUICK).catch(() => undefined)) !== 7) await new Promise(setImmediate);
    files.close();
    for (const writer of writers) closeSync(writer);
    rmSync(directory, { recursive: true });
  }
});

test('a thousand files in a row stand in one directory, whatever number an older program left off at', () => {
  const directoryOf = (id: number) => id % 256;
  for (const start of [1, 255, 70_000, 262_143, 262_144, 5_000_000_001]) {
    const ids = [start];
    for (let count = 0; count < 10_000; count++) ids.push(BlockFiles.after(ids.at(-1) as number));
    const changes = ids.filter((id, index) => index > 0 && directoryOf(id) !== directoryOf(ids[index - 1] as number));
    expect(ids.every((id, index) => index === 0 || id > (ids[index - 1] as number))).toBe(true);
    // The directory that an older program left off in may be that of the next thousand as well.
    expect(changes.length).toBeGreaterThanOrEqual(8);
    expect(changes.length).toBeLessThanOrEqual(10);
    // The first of a directory, and a thousand behind it.
    expect(BlockFiles.after(changes[1] as number)).toBe((changes[1] as number) + 256);
    expect(ids.indexOf(changes[2] as number) - ids.indexOf(changes[1] as number)).toBe(1024);
  }
});
