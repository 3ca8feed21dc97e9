/** The state directory that daemons use one after the other, and which they do not take for it. */
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { useDirectory, useSameDirectory } from '../../plugin/supervisor/usable-directory.ts';
import { Scratch } from '../cli/support/scratch.ts';

test('the one that the first of them noted, and no other in its place', async () => {
  using scratch = new Scratch();
  const [state, note] = [scratch.at('state'), scratch.at('note')];
  const refused = (why: RegExp) =>
    expect(useSameDirectory(state, note)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: `the state directory ${state} cannot be used`,
      cause: expect.objectContaining({ message: expect.stringMatching(why) }),
    });
  await refused(/ENOENT/);
  mkdirSync(state);
  for (let times = 0; times < 2; times++) await useSameDirectory(state, note);
  renameSync(state, `${state}.aside`);
  await refused(/ENOENT/);
  mkdirSync(state);
  await refused(/^another directory is in its place: mount its disk$/);
  rmSync(state, { recursive: true });
  renameSync(`${state}.aside`, state);
  await useSameDirectory(state, note);
});

test('one whose times are not ours to change, which is no trouble of its disk', async () => {
  // The kernel's own: there, and of no times that anybody sets.
  await expect(useDirectory('/proc/self')).resolves.toBeGreaterThan(0);
});
