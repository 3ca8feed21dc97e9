/**
 * The node journal over a real file: what one process told it, the next one knows, whenever the first one ended and
 * however far its last write came.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { CID } from 'multiformats/cid';
import * as digest from 'multiformats/hashes/digest';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Logger, silentLogger } from '../../src/base/log.ts';
import type { NodeKind } from '../../src/fs/file-system.ts';
import type { MountedVolume } from '../../src/fs/mounted-volume.ts';
import { isDirectory, type Node } from '../../src/fs/node.ts';
import type { NextNumbers, NodeEvent } from '../../src/fs/node-recorder.ts';
import { NodeTable } from '../../src/fs/node-table.ts';
import { restoreNodes } from '../../src/fs/restore-nodes.ts';
import { RootDirectory } from '../../src/fs/root-directory.ts';
import { JournalFile } from '../../src/fuse/kernel/journal-file.ts';
import { keptLookups } from '../../src/fuse/kernel/kept-lookups.ts';
import { type JournalledFileSystem, NodeJournal } from '../../src/fuse/kernel/node-journal.ts';
import { contentKey } from '../../src/unixfs/content-key.ts';
import { volumeSpec } from '../support/mount-content.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'node-journal-'));
  path = join(directory, 'nodes');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function cid(seed: number): CID {
  const bytes = Buffer.alloc(32, seed);
  bytes.writeDoubleLE(seed, 0);
  return CID.createV1(0x70, digest.create(0x12, bytes));
}

/** A table and its volumes as a process has them, with a journal of its own. */
class Process implements JournalledFileSystem {
  readonly journal: NodeJournal;
  readonly nodes: NodeTable;
  readonly root: RootDirectory;
  readonly volumes: MountedVolume[] = [];
  lostBelow = 0;

  constructor(inherited: boolean, logger: Logger = silentLogger()) {
    this.journal = new NodeJournal(path, logger, { rewriteFromBytes: 10_000, retryMs: 10 });
    this.nodes = new NodeTable(this.journal);
    this.root = new RootDirectory(this.journal);
    this.journal.begin(this, inherited);
  }

  get next(): NextNumbers {
    return { node: this.nodes.nextId, serial: this.root.nextSerial };
  }

  *heldNodes(): Generator<Node, undefined> {
    for (const node of this.nodes.nodes()) if (node.lookups > 0) yield node;
  }

  restore(events: Iterable<NodeEvent>): void {
    restoreNodes(events, this.nodes, this.root);
  }

  loseNumbersBelow(id: number): void {
    this.lostBelow = id;
    this.nodes.reserve(id);
  }

  addVolume(name: string, uid = 0): MountedVolume {
    const volume = this.root.add(volumeSpec(cid(7), { name, uid }));
    this.volumes.push(volume);
    return volume;
  }

  addFile(volume: MountedVolume, seed: number, kind: NodeKind = 'file', mtimeSeconds = 0): Node {
    const appearance = { kind, mode: 0o444, mtimeSeconds, mtimeNanoseconds: 0, owner: volume.owner };
    const node =
      this.nodes.content(volume.owner, contentKey(cid(seed)), seed) ??
      this.nodes.addContent(contentKey(cid(seed)), seed, false, appearance, volume);
    this.nodes.count(node);
    return node;
  }

  addDirectory(parent: number, name: string, volume: MountedVolume): Node {
    const appearance = {
      kind: 'directory',
      mode: 0o555,
      mtimeSeconds: 1,
      mtimeNanoseconds: 2,
      owner: volume.owner,
    } as const;
    const known = this.nodes.directory(parent, name);
    const node =
      known?.volume === volume ? known : this.nodes.addDirectory(parent, name, contentKey(cid(1)), appearance, volume);
    this.nodes.count(node);
    return node;
  }
}

/** All that a node means, comparable. Volumes by serial, look-ups as they are kept. */
function meaning(process: Process) {
  const entries = [...process.nodes.nodes()].map((node): [number, unknown] => {
    const { id, key, appearance, lookups } = node;
    const seen = { key, ...appearance, lookups: keptLookups(lookups) };
    if (isDirectory(node)) return [id, { ...seen, parent: node.parent, name: node.name, volume: node.volume.serial }];
    const volumes = node.holders.volumes.map(({ serial }) => serial).sort();
    return [id, { ...seen, sizeBytes: node.sizeBytes, sizeVerified: node.sizeVerified, volumes }];
  });
  return new Map(entries.sort(([a], [b]) => a - b));
}

describe('the node journal', () => {
  test('what was kept before an answer is there for the next process, and numbers go on behind it', () => {
    const first = new Process(false);
    const volume = first.addVolume('v');
    const sub = first.addDirectory(1, 'v', volume);
    first.addDirectory(sub.id, 'n\u00e4me\u0000', volume);
    first.addFile(volume, 3, 'symlink', -5);
    first.addFile(volume, 2 ** 40, 'file', 2 ** 33);
    first.journal.keep();
    const second = new Process(true);
    expect(meaning(second)).toEqual(meaning(first));
    expect(second.next).toEqual(first.next);
    // Nobody said yet that it is mounted.
    expect([...second.root.volumes()]).toEqual([]);
    expect(second.addVolume('v').serial).toBe(volume.serial);
    expect(second.nodes.directory(1, 'v')?.volume).toBe(second.volumes[0]);
  });

  test('a number that nobody was told of need not be kept, and one that was forgotten does not come again', () => {
    const first = new Process(false);
    const volume = first.addVolume('v');
    const kept = first.addFile(volume, 1);
    const forgotten = first.addFile(volume, 2);
    first.journal.keep();
    first.nodes.forget(forgotten.id, 1);
    first.journal.close();
    const second = new Process(true);
    expect([...meaning(second).keys()]).toEqual([kept.id]);
    expect(second.next.node).toBe(forgotten.id + 1);
  });

  test('counts of look-ups err upward alone, and small ones not at all', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000_000 }), (count) => {
        const kept = keptLookups(count);
        expect(kept).toBeGreaterThanOrEqual(count);
        expect(kept).toBeLessThan(count <= 16 ? count + 1 : 2 * count);
      }),
    );
    const first = new Process(false);
    const volume = first.addVolume('v');
    const root = first.addDirectory(1, 'v', volume);
    first.journal.keep();
    const before = statSync(path).size;
    for (let walk = 0; walk < 100_000; walk++) {
      first.nodes.count(root);
      first.journal.keep();
    }
    expect(statSync(path).size - before).toBeLessThan(500);
    expect(new Process(true).nodes.get(root.id)?.lookups).toBe(131_072);
  });

  test('volumes keep their serials and their place in the listing; removed ones are there for their open files', () => {
    const first = new Process(false);
    for (const name of ['c', 'a', 'b', 'gone']) first.addVolume(name);
    const [, , , gone] = first.volumes as [MountedVolume, MountedVolume, MountedVolume, MountedVolume];
    const open = first.addFile(gone, 9);
    first.root.remove('gone');
    first.journal.close();
    const second = new Process(true);
    // As the state file has them, in another order, one of them as another volume now.
    second.addVolume('a');
    second.addVolume('b', 1000);
    second.addVolume('new');
    second.addVolume('c');
    const listed = [...second.root.volumes()].map(({ spec, serial }) => [spec.name, serial]);
    expect(listed).toEqual([
      ['c', 1],
      ['a', 2],
      ['b', 5],
      ['new', 6],
    ]);
    const node = second.nodes.get(open.id);
    expect(node && !isDirectory(node) && node.holders.volumes.map(({ spec }) => spec.name)).toEqual(['gone']);
    expect(second.addVolume('gone').serial).toBe(7);
  });

  test('another file system full of events than the journal’s own is refused, and numbers then begin beyond all others', () => {
    for (const damage of [
      () => writeFileSync(path, 'something else entirely'),
      () => rmSync(path),
      () => appendFileSync(path, Buffer.from([200, 1, 2, 3])),
      () => writeFileSync(path, Buffer.from('IVNODES\x02')),
    ]) {
      const first = new Process(false);
      const node = first.addFile(first.addVolume('v'), 1);
      first.journal.close();
      damage();
      const second = new Process(true);
      expect(second.lostBelow).toBeGreaterThan(node.id + 2 ** 40);
      expect(second.addFile(second.addVolume('v'), 2).id).toBeGreaterThanOrEqual(second.lostBelow);
      second.journal.keep();
      // It is whole again, as what comes after it.
      const third = new Process(true);
      expect(third.lostBelow).toBe(0);
      expect(meaning(third)).toEqual(meaning(second));
      rmSync(path);
    }
  });

  test('cut off at any byte, it is what it was at some moment', () => {
    const first = new Process(false);
    const volumes = [first.addVolume('v'), first.addVolume('w', 5)] as const;
    for (let seed = 1; seed < 7; seed++) first.addFile(volumes[seed % 2 ? 0 : 1], seed * 1_000_000, 'file', seed);
    const sub = first.addDirectory(1, 'v', volumes[0]);
    first.addDirectory(sub.id, 'name', volumes[0]);
    first.nodes.forget(5, 1);
    first.root.remove('w');
    first.journal.close();
    const bytes = readFileSync(path);
    const events = [...JournalFile.open(path).events()];
    const states = events.map((_, count) => stateAfter(events.slice(0, count + 1)));
    let at = -1;
    for (let length = 0; length <= bytes.length; length++) {
      writeFileSync(path, bytes.subarray(0, length));
      const file = JournalFile.open(path);
      const seen = [...file.events()];
      expect(seen).toEqual(events.slice(0, seen.length));
      file.append(Buffer.from([7, 99]));
      file.close();
      expect([...JournalFile.open(path).events()]).toEqual([...seen, { type: 'ended', id: 99 }]);
      expect(seen.length - 1 - at).toBeLessThanOrEqual(1);
      at = seen.length - 1;
      if (at >= 0) expect(stateAfter(seen)).toEqual(states[at]);
    }
    expect(at).toBe(events.length - 1);
  });

  function stateAfter(events: readonly NodeEvent[]) {
    const nodes = new NodeTable();
    restoreNodes(events, nodes, new RootDirectory());
    return [...nodes.nodes()].map(({ id, lookups }) => [id, lookups]);
  }

  test('the file stays in proportion to the table', async () => {
    const first = new Process(false);
    const volume = first.addVolume('v');
    for (let round = 0; round < 20; round++) {
      const nodes = Array.from({ length: 1000 }, (_, index) => first.addFile(volume, 1000 * round + index));
      first.journal.keep();
      for (const { id } of nodes.slice(10)) first.nodes.forget(id, 1);
      await new Promise(setImmediate);
    }
    await until(() => statSync(path).size < 100_000);
    first.journal.close();
    expect(meaning(new Process(true))).toEqual(meaning(first));
  });

  test('a volume that got its first node and was removed while the file is written anew is there for that node', async () => {
    const first = new Process(false);
    const [many, few] = [first.addVolume('many'), first.addVolume('few')];
    const rewritten = async (onBegun: (first: number) => void) => {
      const grown = Array.from({ length: 20_000 }, (_, index) => first.addFile(many, index));
      first.journal.keep();
      for (const { id } of grown.slice(3000)) first.nodes.forget(id, 1);
      first.addFile(many, 0);
      first.journal.keep();
      await until(() => existsSync(`${path}.new`));
      onBegun(grown[0]?.id ?? 0);
      await until(() => !existsSync(`${path}.new`));
      for (const { id } of grown.slice(0, 3000)) first.nodes.forget(id, 1);
    };
    await rewritten((id) => {
      // Its place in the table, which was written already, is the next node's.
      first.nodes.forget(id, 2);
      first.addFile(few, 1_000_000);
      first.root.remove('few');
    });
    await rewritten(() => undefined);
    first.journal.close();
    expect(meaning(new Process(true))).toEqual(meaning(first));
  });

  test('a disk that takes nothing fails nobody, is said once, and the file is whole as soon as it takes something', async () => {
    const said: string[] = [];
    const note = (_fields: object, message: string) => said.push(message);
    const logger = { ...silentLogger(), error: note, info: note, warn: note } as Logger;
    symlinkSync('/dev/full', path);
    const first = new Process(false, logger);
    expect(first.journal.isWhole).toBe(false);
    const volume = first.addVolume('v');
    for (let seed = 0; seed < 5000; seed++) {
      first.addFile(volume, seed);
      first.journal.keep();
    }
    await until(() => first.journal.isWhole);
    first.addFile(volume, 1_000_000);
    first.journal.keep();
    expect(said).toEqual([expect.stringContaining('cannot be kept'), expect.stringContaining('kept again')]);
    expect(meaning(new Process(true))).toEqual(meaning(first));
  });

  test('a file that can be neither written nor removed fails nobody, and is made as soon as it can be', async () => {
    // As on a disk that has become read-only.
    mkdirSync(path);
    const first = new Process(false);
    const volume = first.addVolume('v');
    first.addFile(volume, 1);
    first.journal.keep();
    expect(first.journal.isWhole).toBe(false);
    rmdirSync(path);
    await until(() => first.journal.isWhole);
    expect(meaning(new Process(true))).toEqual(meaning(first));
  });

  test('whatever happens to the table, the next process has the same, also while the file is written anew', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('volume' as const), which: fc.nat(4) }),
      fc.record({ do: fc.constant('remove' as const), which: fc.nat(4) }),
      fc.record({ do: fc.constant('file' as const), which: fc.nat(9), seed: fc.nat(30) }),
      fc.record({ do: fc.constant('directory' as const), which: fc.nat(9), seed: fc.nat(5) }),
      fc.record({ do: fc.constant('many' as const), which: fc.nat(9), seed: fc.integer({ min: 100, max: 5000 }) }),
      fc.record({ do: fc.constant('forget' as const), which: fc.nat(), seed: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ do: fc.constant('forget all' as const), which: fc.nat(9) }),
      fc.record({ do: fc.constant('turn' as const) }),
      fc.record({ do: fc.constant('die' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        rmSync(path, { force: true });
        let process = new Process(false);
        const some = (index: number) => process.volumes[index % process.volumes.length];
        for (const next of steps) {
          const volume = 'which' in next ? some(next.which) : undefined;
          if (next.do === 'volume' && !process.root.get(`v${next.which}`)) process.addVolume(`v${next.which}`);
          else if (next.do === 'remove') process.root.remove(`v${next.which}`);
          else if (next.do === 'turn') await new Promise(setImmediate);
          else if (next.do === 'file' && volume) {
            const node = process.addFile(volume, next.seed);
            if (!isDirectory(node)) process.nodes.hold(node, volume);
          } else if (next.do === 'directory' && volume)
            process.addDirectory(1 + (next.which % 3), `d${next.seed}`, volume);
          else if (next.do === 'many' && volume) {
            for (let seed = 0; seed < next.seed; seed++) process.addFile(volume, 1000 + seed);
          } else if (next.do === 'forget') {
            const nodes = [...process.nodes.nodes()];
            const node = nodes[next.which % nodes.length];
            if (node) process.nodes.forget(node.id, next.seed);
          } else if (next.do === 'forget all') {
            for (const { id } of process.nodes.nodes()) if (id % 10 !== next.which) process.nodes.forget(id, 1_000_000);
          } else if (next.do === 'die') {
            const mounted = [...process.root.volumes()].map(({ spec }) => spec);
            process.journal.close();
            const after = new Process(true);
            for (const { name } of mounted) after.addVolume(name);
            expect(meaning(after)).toEqual(meaning(process));
            expect(after.next).toEqual(process.next);
            process = after;
          }
        }
        process.journal.close();
        const last = new Process(true);
        expect(meaning(last)).toEqual(meaning(process));
        last.journal.close();
      }),
      { numRuns: 60 },
    );
  });
});

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error('waited in vain');
    await new Promise(setImmediate);
  }
}
