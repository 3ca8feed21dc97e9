/**
 * Which blocks the roots lead to: a walk along dag-pb links, the only links that files and directories are made of. The
 * marks are rows of a temporary table, so that a store of any size takes no memory for them.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import * as dagPb from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import { blockKey } from '../blocks/block.ts';
import type { BlockDisk } from '../blocks/disk/block-disk.ts';
import { identityBytes } from '../blocks/verify.ts';

/** Blocks looked at before other work has its turn: a few milliseconds. */
const BLOCKS_PER_TURN = 500;

/** Leaves the keys of all blocks below `roots`, and of the roots, in the temporary table `live (key BLOB)`. */
export async function markLive(disk: BlockDisk, roots: readonly CID[]): Promise<void> {
  const { database } = disk;
  database.exec(`
    DROP TABLE IF EXISTS live;
    DROP TABLE IF EXISTS found;
    CREATE TEMP TABLE live (key BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE TEMP TABLE found (id INTEGER PRIMARY KEY, cid BLOB NOT NULL);
  `);
  const mark = database.prepare('INSERT OR IGNORE INTO live (key) VALUES (?)');
  const queue = database.prepare('INSERT INTO found (cid) VALUES (?)');
  const next = database.prepare('DELETE FROM found WHERE id = (SELECT max(id) FROM found) RETURNING cid');
  const find = (cid: CID): void => {
    const { changes } = mark.run(Buffer.from(blockKey(cid), 'latin1'));
    if (changes !== 0 && (cid.code === dagPb.code || identityBytes(cid))) queue.run(cid.bytes);
  };
  for (const root of roots) find(root);
  for (let looked = 1; ; looked++) {
    const row = next.get() as { cid: Uint8Array } | undefined;
    if (!row) break;
    const cid = CID.decode(row.cid);
    const bytes = identityBytes(cid) ?? disk.get(blockKey(cid));
    for (const link of bytes && cid.code === dagPb.code ? linksOf(bytes) : []) find(link);
    if (looked % BLOCKS_PER_TURN === 0) await nextTurn();
  }
  database.exec('DROP TABLE found');
}

/** None for what does not decode: nobody can walk on from there, a reader no more than we. */
function linksOf(bytes: Uint8Array): readonly CID[] {
  try {
    return dagPb.decode(bytes).Links.map(({ Hash }) => Hash);
  } catch {
    return [];
  }
}
