/** One process a mount root, and no file left of those that ended well. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lockMountRoot } from '../../plugin/supervisor/mount-root-lock.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { until } from '../support/daemon.ts';

const MODULE = new URL('../../plugin/supervisor/mount-root-lock.ts', import.meta.url).href;
const DIRECTORIES = ['/run', tmpdir()].map((parent) => join(parent, 'ipfs-volume-mount-roots'));

/** The name under which the lock that `holder` holds has its files; undefined where there is none. */
function lockFileOf(holder: string): string | undefined {
  const notes = DIRECTORIES.filter((directory) => existsSync(directory)).flatMap((directory) =>
    readdirSync(directory)
      .filter((file) => file.endsWith('.txt'))
      .map((file) => join(directory, file)),
  );
  return notes.find((note) => readFileSync(note, 'utf8').includes(holder))?.replace(/txt$/, 'db');
}

test('is held by one at a time, who is named to the next, and leaves no file once it is released', async () => {
  using scratch = new Scratch();
  const lock = await lockMountRoot(scratch.path, `test ${scratch.path}`);
  const file = lockFileOf(`test ${scratch.path}`);
  expect(file && existsSync(file)).toBe(true);
  await expect(lockMountRoot(scratch.path, 'another')).rejects.toMatchObject({
    code: 'STATE_LOCKED',
    message: expect.stringContaining(`process ${process.pid}, test ${scratch.path}`),
  });
  lock.release();
  expect(existsSync(file as string)).toBe(false);
  (await lockMountRoot(scratch.path, 'another')).release();
});

/** Takes it, says so, and holds it until it is killed. */
const HOLDER = `
const [module, root] = process.argv.slice(1);
const { lockMountRoot } = await import(module);
await lockMountRoot(root, 'holder of ' + root);
console.log('held');
setInterval(() => {}, 1000);`;

test('what a killed process left is removed by whoever locks another root; what a living one holds is not', async () => {
  using scratch = new Scratch();
  const hold = async (root: string) => {
    mkdirSync(root);
    const child = spawn(process.execPath, ['--input-type=module', '-e', HOLDER, MODULE, root], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    return { child, file: lockFileOf(`holder of ${root}`) ?? expect.unreachable() };
  };
  const living = await hold(scratch.at('living'));
  const killed = await hold(scratch.at('killed'));
  killed.child.kill('SIGKILL');
  await once(killed.child, 'exit');
  // Files of others that were killed may be looked at first.
  await until('it is removed', async () => {
    (await lockMountRoot(scratch.path, 'another')).release();
    return !existsSync(killed.file);
  });
  expect(lockFileOf(`holder of ${scratch.at('killed')}`)).toBeUndefined();
  expect(existsSync(living.file)).toBe(true);
  await expect(lockMountRoot(scratch.at('living'), 'another')).rejects.toMatchObject({ code: 'STATE_LOCKED' });
  living.child.kill('SIGKILL');
});

/** Takes it so many times, and fails where somebody else is in at the same time. */
const TAKER = `
import { closeSync, openSync, rmSync } from 'node:fs';
const [module, root, guard] = process.argv.slice(1);
const { lockMountRoot } = await import(module);
for (let taken = 0; taken < 100; ) {
  let lock;
  try {
    lock = await lockMountRoot(root, 'taker');
  } catch (error) {
    if (error.code !== 'STATE_LOCKED') throw error;
    continue;
  }
  closeSync(openSync(guard, 'wx'));
  rmSync(guard);
  lock.release();
  taken++;
}`;

test('is held by one at a time also where each removes the file that the others are about to lock', async () => {
  using scratch = new Scratch();
  const args = ['--input-type=module', '-e', TAKER, MODULE, scratch.path, scratch.at('guard')];
  const takers = Array.from({ length: 3 }, async () => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let complaint = '';
    child.stderr.on('data', (chunk) => {
      complaint += chunk;
    });
    const [code] = await once(child, 'close');
    return code === 0 ? '' : complaint;
  });
  expect(await Promise.all(takers)).toEqual(['', '', '']);
});
