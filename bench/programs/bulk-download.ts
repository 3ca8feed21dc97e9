/**
 * `bulk-download.ts GATEWAY CID AT_ONCE`: fetches all blocks below a CID, so many at once, whoever reads beside it: first
 * in, first out.
 */
import { Pool } from 'undici';
import { downloadBelow } from './download-below.ts';

const [gateway = '', root = '', atOnce = '32'] = process.argv.slice(2);
const pool = new Pool(gateway, { connections: Number(atOnce) });

await downloadBelow(root, Number(atOnce), async (cid) => {
  const { body } = await pool.request({ method: 'GET', path: `/ipfs/${cid}?format=raw` });
  return body.bytes();
});
