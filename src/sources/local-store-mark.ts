/**
 * Which blocks the roots lead to: a walk along the links of dag-pb, which files and directories are made of, and of
 * dag-cbor and dag-json, which a CAR may bring along. The marks are rows of a temporary table, so that a store of any size
 * takes no memory for them.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import * as dagCbor from '@ipld/dag-cbor';
import * as dagJson from '@ipld/dag-json';
import * as dagPb from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import { blockKey } from '../blocks/block.ts';
import type { BlockDisk } from '../blocks/disk/block-disk.ts';

/** Multihash code: the digest is the block itself. */
const IDENTITY = 0x00;

/** Blocks looked at before other work has its turn: a few milliseconds. */
const BLOCKS_PER_TURN = 500;

/**
 * Leaves the keys of all blocks below `roots`, and of the roots, in the temporary table `live (key BLOB, codec INTEGER)`: by
 * codec too, since the same bytes have links as dag-pb and none as raw.
 */
export async function markLive(disk: BlockDisk, roots: readonly CID[]): Promise<void> {
  const { database } = disk;
  database.exec(`
    DROP TABLE IF EXISTS live;
    DROP TABLE IF EXISTS found;
    CREATE TEMP TABLE live (key BLOB, codec INTEGER, PRIMARY KEY (key, codec)) WITHOUT ROWID;
    CREATE TEMP TABLE found (id INTEGER PRIMARY KEY, cid BLOB NOT NULL);
  `);
  const mark = database.prepare('INSERT OR IGNORE INTO live (key, codec) VALUES (?, ?)');
  const queue = database.prepare('INSERT INTO found (cid) VALUES (?)');
  const next = database.prepare('DELETE FROM found WHERE id = (SELECT max(id) FROM found) RETURNING cid');
  const find = (cid: CID): void => {
    const { changes } = mark.run(Buffer.from(blockKey(cid), 'latin1'), cid.code);
    if (changes !== 0 && LINKS.has(cid.code)) queue.run(cid.bytes);
  };
  for (const root of roots) find(root);
  for (let looked = 1; ; looked++) {
    const row = next.get() as { cid: Uint8Array } | undefined;
    if (!row) break;
    const cid = CID.decode(row.cid);
    // Of any length: what is too long to be read is no reason to sweep nothing.
    const bytes = cid.multihash.code === IDENTITY ? cid.multihash.digest : await disk.get(blockKey(cid));
    for (const link of bytes ? linksOf(cid, bytes) : []) find(link);
    if (looked % BLOCKS_PER_TURN === 0) await nextTurn();
  }
  database.exec('DROP TABLE found');
}

const LINKS: ReadonlyMap<number, (bytes: Uint8Array) => readonly CID[]> = new Map([
  [dagPb.code, (bytes) => dagPb.decode(bytes).Links.map(({ Hash }) => Hash)],
  [dagCbor.code, (bytes) => linksIn(dagCbor.decode(bytes))],
  [dagJson.code, (bytes) => linksIn(dagJson.decode(bytes))],
]);

/** None for what does not decode: nobody can walk on from there, a reader no more than we. */
function linksOf(cid: CID, bytes: Uint8Array): readonly CID[] {
  try {
    return LINKS.get(cid.code)?.(bytes) ?? [];
  } catch {
    return [];
  }
}

/** Of a value of the IPLD data model, however deep. */
function linksIn(value: unknown): readonly CID[] {
  const links: CID[] = [];
  const rest = [value];
  while (rest.length > 0) {
    const next = rest.pop();
    const cid = CID.asCID(next);
    if (cid) links.push(cid);
    else if (typeof next === 'object' && next !== null && !(next instanceof Uint8Array)) {
      for (const item of Object.values(next)) rest.push(item);
    }
  }
  return links;
}
