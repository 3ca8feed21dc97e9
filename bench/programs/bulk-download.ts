/**
 * `bulk-download.ts GATEWAY CID AT_ONCE`: fetches all blocks below a CID, in order, so many at once, and keeps nothing: a
 * download by a program that knows of no priorities.
 */
import { decode } from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import { Pool } from 'undici';

const [gateway = '', root = '', atOnce = '32'] = process.argv.slice(2);
const pool = new Pool(gateway, { connections: Number(atOnce) });
const wanted = [root];

async function fetchNext(): Promise<void> {
  const cid = wanted.shift();
  if (cid === undefined) return;
  const { body } = await pool.request({ method: 'GET', path: `/ipfs/${cid}?format=raw` });
  const bytes = await body.bytes();
  if (CID.parse(cid).code === 0x70) for (const { Hash } of decode(bytes).Links) wanted.push(Hash.toString());
}

async function worker(): Promise<void> {
  while (wanted.length > 0) await fetchNext();
}

// One at a time until there is work for all.
while (wanted.length > 0 && wanted.length < Number(atOnce)) await fetchNext();
await Promise.all(Array.from({ length: Number(atOnce) }, worker));
