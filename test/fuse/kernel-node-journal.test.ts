/** The node journal on a real disk that is full: a small one in memory. */
import { readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CID } from 'multiformats/cid';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Logger, silentLogger } from '../../src/base/log.ts';
import type { Node } from '../../src/fs/node.ts';
import { NodeTable } from '../../src/fs/node-table.ts';
import { restoreNodes } from '../../src/fs/restore-nodes.ts';
import { RootDirectory } from '../../src/fs/root-directory.ts';
import { type JournalledFileSystem, NodeJournal } from '../../src/fuse/kernel/node-journal.ts';
import { detach } from '../../src/fuse/run-program.ts';
import type { ContentKey } from '../../src/unixfs/content-key.ts';
import { describeWith } from '../support/machine.ts';
import { volumeSpec } from '../support/mount-content.ts';
import { emptyDirectory, removeDirectory, shell, until } from './outside.ts';

const DISK_BYTES = 256 * 1024;

describeWith(['root'], 'the node journal on a disk that is full', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await emptyDirectory();
    await shell('mount -t tmpfs -o size=$2 none "$1"', directory, String(DISK_BYTES));
  });
  afterEach(async () => {
    await detach(directory);
    await removeDirectory(directory);
  });

  it('fails nobody, is whole again as soon as there is room, and says both once', async () => {
    const said: string[] = [];
    const note = (_fields: object, message: string) => void said.push(message);
    const logger = { ...silentLogger(), error: note, info: note, warn: note } as Logger;
    const path = join(directory, 'nodes');
    const journal = new NodeJournal(path, logger, { retryMs: 20 });
    const { state, nodes, root } = table(journal);
    journal.begin(state, false);
    const volume = root.add(volumeSpec(CID.parse('bafkqaaa')));
    const appearance = {
      kind: 'file',
      mode: 0o444,
      mtimeSeconds: 0,
      mtimeNanoseconds: 0,
      owner: volume.owner,
    } as const;
    const addFiles = (count: number): void => {
      for (let made = 0; made < count; made++) {
        const key = `\x01\x70key number ${nodes.nextId}`.padEnd(36) as ContentKey;
        nodes.count(nodes.addContent(key, 1, true, appearance, volume));
        journal.keep();
      }
    };
    addFiles(100);
    expect(journal.isWhole).toBe(true);
    const ballast = join(directory, 'ballast');
    const { bsize, bavail } = statfsSync(directory);
    writeFileSync(ballast, Buffer.alloc(bsize * bavail));
    addFiles(500);
    expect(journal.isWhole).toBe(false);
    expect(() => readFileSync(path)).toThrow('ENOENT');
    rmSync(ballast);
    await until('it is whole', () => journal.isWhole);
    addFiles(100);
    expect(said).toEqual([expect.stringContaining('cannot be kept'), expect.stringContaining('is kept again')]);

    const after = table(new NodeJournal(path, logger));
    after.journal.begin(after.state, true);
    expect([...after.nodes.nodes()].map(({ id }) => id)).toEqual([...nodes.nodes()].map(({ id }) => id));
    expect(after.nodes.nextId).toBe(nodes.nextId);
    journal.close();
    after.journal.close();
  });
});

function table(journal: NodeJournal) {
  const nodes = new NodeTable(journal);
  const root = new RootDirectory(journal);
  const state = {
    *heldNodes(): Generator<Node, undefined> {
      yield* nodes.nodes();
    },
    get next() {
      return { node: nodes.nextId, serial: root.nextSerial };
    },
    restore: (events: Parameters<typeof restoreNodes>[0]) => restoreNodes(events, nodes, root),
    loseNumbersBelow: () => {
      throw new Error('lost');
    },
  } satisfies JournalledFileSystem;
  return { journal, nodes, root, state };
}
