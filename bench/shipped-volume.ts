/** A volume that has its boot profile with it, as `ipfs-volume add --profile` makes it, at an origin that has the volume without. */
import { buffer } from 'node:stream/consumers';
import { code as DAG_PB, decode, encode } from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import { sha256 } from 'multiformats/hashes/sha2';
import { type BlockKey, blockKey } from '../src/blocks/block.ts';
import { CarStream } from '../src/blocks/car-stream.ts';
import type { DagLink } from '../src/cli/add/dag-node.ts';
import { emitProfileFiles } from '../src/cli/add/profile-files.ts';
import { decodeProfile } from '../src/prefetch/boot-profile.ts';
import { cidOf } from '../src/unixfs/content-key.ts';
import type { KuboNode } from '../test/support/kubo.ts';

/** The CID of the volume `cid` with `profile`, which was recorded on it. */
export async function shipProfile(node: KuboNode, cid: string, profile: string): Promise<string> {
  const decoded = decodeProfile(profile);
  const sizes = new Map<BlockKey, number>();
  for (const key of decoded.blocks.keys()) {
    const block = cidOf(key);
    sizes.set(blockKey(block), await sizeOfBlock(node, block));
  }
  const car = new CarStream();
  const links = await emitProfileFiles(
    decoded,
    () => sizes,
    (block) => car.write(block),
  );
  const root = await withLinks(node, CID.parse(cid), links);
  await car.write(root);
  car.end();
  await node.line(['dag', 'import', '--pin-roots=false', '--silent'], await buffer(car));
  return root.cid.toString();
}

async function withLinks(node: KuboNode, root: CID, links: readonly DagLink[]) {
  const answer = await fetch(`${node.rpcUrl}/api/v0/block/get?arg=${root}`, { method: 'POST' });
  const { Data, Links } = decode(new Uint8Array(await answer.arrayBuffer()));
  const more = links.map(({ cid, name, totalBytes }) => ({ Hash: cid, Name: name, Tsize: totalBytes }));
  const all = [...Links, ...more].sort((a, b) => Buffer.compare(Buffer.from(a.Name ?? ''), Buffer.from(b.Name ?? '')));
  const bytes = encode({ Links: all, ...(Data ? { Data } : {}) });
  return { cid: CID.createV1(DAG_PB, await sha256.digest(bytes)), bytes };
}

/** In bytes. */
export async function sizeOfBlock(node: KuboNode, cid: CID): Promise<number> {
  const answer = await fetch(`${node.rpcUrl}/api/v0/block/stat?arg=${cid}`, { method: 'POST' });
  return ((await answer.json()) as { Size: number }).Size;
}
