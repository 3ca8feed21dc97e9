/**
 * The fixtures of other projects, imported by `ipfs-volume import`, mounted by the daemon, and compared with what an
 * independent reader made of them (../shared/fixtures, where it is there).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errnoOf, shell } from '../../fuse/outside.ts';
import { startDaemon, type TestDaemon } from '../../support/daemon.ts';
import { describeWith, FIXTURES } from '../../support/machine.ts';
import { importCar } from './support/command-line.ts';
import { type TreeEntry, treeOf } from './support/same-tree.ts';

interface Expected {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'object';
  readonly size?: number;
  readonly sha256?: string;
  readonly target?: string;
  /** A block of it is absent. */
  readonly readError?: string;
}

/** An entry in the terms of expected.json. What is no UnixFS is a file here. */
function asExpected({ path, kind, size, sha256, target }: TreeEntry): Expected {
  const here = { path: Buffer.from(path || '/', 'latin1').toString(), type: kind as Expected['type'] };
  if (kind === 'file') return { ...here, size: size ?? -1, sha256: sha256 ?? '' };
  return target === undefined ? here : { ...here, target: Buffer.from(target, 'latin1').toString() };
}

const byPath = (a: Expected, b: Expected) => (a.path < b.path ? -1 : 1);

describeWith(['root', 'fuse', 'fixtures'], 'fixtures of other projects, mounted', () => {
  let daemon: TestDaemon;
  beforeAll(async () => {
    daemon = await startDaemon({ settings: { READ_TIMEOUT: '5s' } });
  });
  afterAll(() => daemon?.[Symbol.asyncDispose]());

  const all: Record<string, { root: string; entries?: Expected[] }> = JSON.parse(
    readFileSync(join(FIXTURES, 'expected.json'), 'utf8'),
  );

  test.each(Object.entries(all).filter(([car]) => !car.startsWith('root-') && car !== 'missing-middle-block.car'))(
    '%s: the same tree',
    async (car, { root, entries = [] }) => {
      await importCar(daemon.socketPath, join(FIXTURES, 'cars', car));
      const found = (await treeOf(await daemon.mount(car, root))).map(asExpected);
      // The other reader shows names that are none (`../file`). Here they are not there, and their neighbours are.
      const visible = entries.filter(({ path }) => !path.includes('..'));
      expect(visible.length < entries.length).toBe(car.startsWith('hostile-'));
      const expected = visible.map((entry) => (entry.type === 'object' ? { ...entry, type: 'file' as const } : entry));
      // Of what is no UnixFS the other reader says no more than that it is there.
      const known = new Map(expected.map((entry) => [entry.path, entry]));
      const comparable = found.map((entry) => {
        const { size, sha256, ...rest } = entry;
        return entry.type === 'file' && known.get(entry.path)?.sha256 === undefined ? rest : entry;
      });
      expect(comparable.sort(byPath)).toEqual(expected.sort(byPath));
    },
  );

  test('hamt-1000.car: a listing has each entry once', async () => {
    const root = await mountOf('hamt-1000.car', 'listed');
    const names = (await shell('ls -f -A "$1"', root)).trimEnd().split('\n');
    expect([names.length, new Set(names).size]).toEqual([1000, 1000]);
  });

  test('dag-cbor-child.car: the child is a file of its block’s bytes', async () => {
    const root = await mountOf('dag-cbor-child.car', 'cbor');
    const car = readFileSync(join(FIXTURES, 'cars', 'dag-cbor-child.car'));
    const bytes = Buffer.from(await shell('od -An -v -tx1 "$1/document" | tr -d " \\n"', root), 'hex');
    expect(bytes.length).toBeGreaterThan(0);
    expect(car.includes(bytes)).toBe(true);
  });

  test('missing-middle-block.car: never a short file: EIO', async () => {
    const file = await mountOf('missing-middle-block.car', 'missing');
    expect(await shell('stat -c %s "$1"', file)).toBe('3072\n');
    expect(await errnoOf('open(p, "rb").read()', file)).toBe('EIO');
    expect((await daemon.status('missing')).lastError).toMatch(/is not on this machine/);
  });

  test.each(['root-dag-cbor.car', 'root-json.car'])('%s: refused at Mount', async (car) => {
    const root = all[car]?.root ?? '';
    await importCar(daemon.socketPath, join(FIXTURES, 'cars', car));
    await expect(daemon.mount(car, root)).rejects.toThrow(
      new RegExp(`${root} is a (dag-cbor|json) block, not a UnixFS file or directory; add the content with`),
    );
  });

  async function mountOf(car: string, name: string): Promise<string> {
    await importCar(daemon.socketPath, join(FIXTURES, 'cars', car));
    return daemon.mount(name, all[car]?.root ?? '');
  }
});
