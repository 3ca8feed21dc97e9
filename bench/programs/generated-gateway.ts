/**
 * `generated-gateway.ts SPEC`: a trustless gateway of content that is made as it is asked for, so that a volume of 100 GB
 * takes neither a disk nor a minute. SPEC is JSON, `GeneratedVolume[]`; prints `{"port", "cids": […]}` and ends with its
 * stdin. Answers single blocks; of ranges it says that it has none, which sends every reader to single blocks.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CID } from 'multiformats/cid';
import { type BlockKey, blockKey } from '../../src/blocks/block.ts';
import { type DagLink, type Emit, emitNode, emitRaw } from '../../src/cli/add/dag-node.ts';
import { emitDirectory } from '../../src/cli/add/directory-dag.ts';
import { CHUNK_BYTES } from '../../src/cli/add/file-dag.ts';
import { encodeUnixFs, UNIXFS_TYPE } from '../../src/cli/add/unixfs-data.ts';

export interface GeneratedVolume {
  /** Large files, `file-0` and so on, each of so many leaves of 1 MiB. */
  readonly files: number;
  readonly leavesEach: number;
  /** So many leaves are different, the others repeat them. */
  readonly differentLeaves: number;
  /** Directories `d0` and so on beside them, each with so many files of a few bytes. */
  readonly directories: number;
  readonly entriesEach: number;
}

/** A leaf is the same MiB of noise but for its first bytes, which are its number. */
const NOISE = Buffer.from(createHash('shake256', { outputLength: CHUNK_BYTES }).update('leaf').digest());
const LEAF_HEAD_BYTES = 8;

const leaves = new Map<BlockKey, Buffer>();
const small = new Map<BlockKey, Uint8Array>();
const keep: Emit = ({ cid, bytes }) => {
  small.set(blockKey(cid), bytes);
  return undefined;
};

const volumes = JSON.parse(process.argv[2] ?? '[]') as GeneratedVolume[];
const cids: string[] = [];
for (const [index, volume] of volumes.entries()) cids.push(String((await makeVolume(volume, index)).cid));

const server = createServer((request, response) => {
  const cid = /^\/ipfs\/(\w+)\?format=raw/.exec(request.url ?? '')?.[1];
  const key = cid === undefined ? undefined : blockKey(CID.parse(cid));
  const leaf = key && leaves.get(key);
  const bytes = key && small.get(key);
  if (leaf) {
    response.writeHead(200, { 'content-type': 'application/vnd.ipld.raw', 'content-length': CHUNK_BYTES });
    response.write(leaf);
    response.end(NOISE.subarray(LEAF_HEAD_BYTES));
  } else if (bytes) {
    response.writeHead(200, { 'content-type': 'application/vnd.ipld.raw', 'content-length': bytes.length }).end(bytes);
  } else response.writeHead(404).end();
});
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port, cids }));
});
process.stdin.on('end', () => process.exit(0)).resume();

async function makeVolume(volume: GeneratedVolume, index: number) {
  const made: DagLink[] = [];
  const leafLinks: DagLink[] = [];
  for (let number = 0; number < volume.differentLeaves; number++) leafLinks.push(await makeLeaf(index, number));
  for (let file = 0; file < volume.files; file++) {
    const links = Array.from(
      { length: volume.leavesEach },
      // Shifted, so that no two files are alike.
      (_, leaf) => leafLinks[(file * volume.leavesEach + leaf + file) % volume.differentLeaves] as DagLink,
    );
    made.push({ ...(await makeFile(links)), name: `file-${file}` });
  }
  for (let directory = 0; directory < volume.directories; directory++) {
    const entries: DagLink[] = [];
    for (let entry = 0; entry < volume.entriesEach; entry++) {
      const bytes = Buffer.from(`${index}/${directory}/${entry}`);
      entries.push({ ...(await emitRaw(bytes, keep)), name: `entry-${entry}` });
    }
    made.push({ ...(await emitDirectory(entries, {}, keep)), name: `d${directory}` });
  }
  return emitDirectory(made, {}, keep);
}

async function makeLeaf(volume: number, number: number): Promise<DagLink> {
  const head = Buffer.alloc(LEAF_HEAD_BYTES);
  head.writeUInt32LE(volume, 0);
  head.writeUInt32LE(number, 4);
  head.copy(NOISE);
  const { cid, totalBytes } = await emitRaw(NOISE, () => undefined);
  leaves.set(blockKey(cid), head);
  return { cid, totalBytes, name: '' };
}

/** Two levels at the most: 1024 links a node make a terabyte. */
async function makeFile(links: readonly DagLink[]) {
  const nodes: DagLink[] = [];
  const sizes: number[] = [];
  for (let first = 0; first < links.length; first += 1024) {
    const part = links.slice(first, first + 1024);
    const fileSize = part.length * CHUNK_BYTES;
    const data = encodeUnixFs({ type: UNIXFS_TYPE.file, fileSize, blockSizes: part.map(() => CHUNK_BYTES) });
    nodes.push({ ...(await emitNode(data, part, keep)), name: '' });
    sizes.push(fileSize);
  }
  const [only] = nodes;
  if (nodes.length === 1 && only) return only;
  const fileSize = links.length * CHUNK_BYTES;
  return emitNode(encodeUnixFs({ type: UNIXFS_TYPE.file, fileSize, blockSizes: sizes }), nodes, keep);
}
