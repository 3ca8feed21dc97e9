/** Which nodes the kernel is to be asked to forget, and when. */
import { describe, expect, test } from 'vitest';
import { ForgetRound } from '../../src/fs/forget-round.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { fileSystemOver, mountRoot } from '../support/mount-content.ts';
import { context } from '../support/walk-file-system.ts';

function numbered(...ids: number[]) {
  const set = new Set(ids);
  return { set, ids: () => set.values(), size: ids.length };
}

describe('a round', () => {
  test('goes over all, the longest known first, and of those named at a time the youngest', () => {
    const round = new ForgetRound(numbered(1, 2, 3, 4, 5, 6, 7));
    expect([round.next(3), round.next(3), round.next(3)]).toEqual([[3, 2, 1], [6, 5, 4], [7]]);
    expect(round.next(3)).toEqual([3, 2, 1]);
  });

  test('has of each kind its share', () => {
    const round = new ForgetRound(numbered(1, 4), numbered(2, 3, 5, 6, 7, 8));
    expect([round.next(4), round.next(4)]).toEqual([
      [5, 3, 2, 1],
      [8, 7, 6, 4],
    ]);
  });

  test('begins anew when it was ended, and goes on over what comes and goes', () => {
    const all = numbered(1, 2, 3, 4);
    const round = new ForgetRound(all);
    expect(round.next(2)).toEqual([2, 1]);
    all.set.delete(3);
    all.set.add(9);
    expect(round.next(2)).toEqual([9, 4]);
    round.end();
    expect(round.next(2)).toEqual([2, 1]);
  });
});

test('there is a surplus from four fifths of the bound on, until two fifths are free', async () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  const nodeLimits = { heapBytes: Number.MAX_SAFE_INTEGER, contents: 10 };
  const fileSystem = fileSystemOver(blocks, { nodeLimits });
  const names = Array.from({ length: 10 }, (_, index) => `${index}`);
  const files = names.map((name) => ({ name, cid: dag.raw(Buffer.from(name)), tsize: 1 }));
  const root = await mountRoot(fileSystem, dag.directory(files));
  const held: number[] = [];
  const look = async (name: string) => {
    held.push((await fileSystem.lookup(root, Buffer.from(name), context)).attributes.node);
  };
  for (const name of names.slice(0, 7)) await look(name);
  expect(fileSystem.surplus(100)).toEqual([]);
  await look('7');
  expect(fileSystem.surplus(100)).toEqual([...held].reverse().concat(root));
  for (const node of held.splice(0, 2)) fileSystem.forget(node, 1);
  expect(fileSystem.surplus(100)).toEqual([...held].reverse().concat(root));
  for (const node of held.splice(0, 1)) fileSystem.forget(node, 1);
  expect(fileSystem.surplus(100)).toEqual([]);
  await look('0');
  expect(fileSystem.surplus(100)).toEqual([]);
});
