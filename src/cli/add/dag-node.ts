/**
 * Making blocks: sha2-256, CIDv1, raw or dag-pb, as the profile `unixfs-v1-2025` has them (IPIP-499).
 *
 * A block is handed on as soon as it is made, children before their parents, so that the last one is the root and no
 * more than one file's open levels and one directory's links a level are ever in memory.
 */
import { hash } from 'node:crypto';
import * as dagPb from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';
import type { Block } from '../../blocks/block.ts';

/** multicodec `sha2-256` and `raw`. */
const SHA2_256 = 0x12;
const RAW = 0x55;

/** Takes a finished block; a promise where the receiver wants the builder to wait. */
export type Emit = (block: Block) => Promise<void> | undefined;

/** A finished sub-DAG, as a parent links to it. */
export interface DagRoot {
  readonly cid: CID;
  /** Bytes of all blocks below and including this one, counted once a link: dag-pb's `Tsize`. */
  readonly totalBytes: number;
}

export interface DagLink extends DagRoot {
  readonly name: string;
}

function block(codec: number, bytes: Uint8Array): Block {
  return { cid: CID.createV1(codec, Digest.create(SHA2_256, hash('sha256', bytes, 'buffer'))), bytes };
}

/** Emits `bytes` as a raw leaf. */
export async function emitRaw(bytes: Uint8Array, emit: Emit): Promise<DagRoot> {
  const { cid } = await emitted(block(RAW, bytes), emit);
  return { cid, totalBytes: bytes.length };
}

/** Emits a dag-pb node; `links` in the order they stand (a directory's sorted by the bytes of their names). */
export async function emitNode(data: Uint8Array, links: readonly DagLink[], emit: Emit): Promise<DagRoot> {
  const node = { Data: data, Links: links.map((l) => ({ Hash: l.cid, Name: l.name, Tsize: l.totalBytes })) };
  const { cid, bytes } = await emitted(block(dagPb.code, dagPb.encode(node)), emit);
  return { cid, totalBytes: links.reduce((sum, link) => sum + link.totalBytes, bytes.length) };
}

async function emitted(made: Block, emit: Emit): Promise<Block> {
  const wait = emit(made);
  if (wait) await wait;
  return made;
}
