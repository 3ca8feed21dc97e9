/**
 * Content whose every byte is known: for long tests that read at random, compare checksums, and repeat from a seed.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { CID } from 'multiformats/cid';
import { type Outcome, startFor } from '../fuse/outside.ts';
import type { BlockMap } from './block-map.ts';
import { type Child, DagBuilder } from './dag-builder.ts';

export interface KnownVolume {
  readonly root: CID;
  /** SHA-256 by path below the root. */
  readonly files: ReadonlyMap<string, string>;
}

/** 0..1, the same sequence for the same seed (mulberry32). */
export type Random = () => number;

export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An integer from 0 to `below` - 1. */
export function randomBelow(random: Random, below: number): number {
  return Math.floor(random() * below);
}

export function randomOf<T>(random: Random, items: readonly T[]): T {
  return items[randomBelow(random, items.length)] as T;
}

/** Block sizes: rows of the cache's table, files beside it, and the largest usual one. */
const LEAF_BYTES = [4_000, 100_000, 262_144, 1_048_576] as const;

/** A volume of `directories` directories with twelve files each, of one to six blocks, 4 KB to 2 MiB. */
export function makeKnownVolume(blocks: BlockMap, random: Random, label: string, directories: number): KnownVolume {
  const dag = new DagBuilder(blocks);
  const files = new Map<string, string>();
  const top: Child[] = [];
  for (let directory = 0; directory < directories; directory++) {
    const children: Child[] = [];
    for (let file = 0; file < 12; file++) {
      const name = `file${file}`;
      const leafBytes = randomOf(random, LEAF_BYTES);
      const count = leafBytes > 500_000 ? 2 : 1 + randomBelow(random, 6);
      const hash = createHash('sha256');
      const parts = Array.from({ length: count }, (_, part) => {
        const bytes = Buffer.alloc(leafBytes, `${label}/${directory}/${name}/${part} `);
        hash.update(bytes);
        return dag.rawPart(bytes);
      });
      children.push({ name, cid: dag.part(parts).cid });
      files.set(`d${directory}/${name}`, hash.digest('hex'));
    }
    top.push({ name: `d${directory}`, cid: dag.directory(children) });
  }
  return { root: dag.directory(top), files };
}

/** Reads some of the files, or all, in one process. Throws, saying which, where one cannot be read or reads wrong. */
export async function readKnown(
  mountpoint: string,
  volume: KnownVolume,
  paths: readonly string[],
  limitMs: number,
): Promise<number> {
  const outcome: Outcome = await startFor(limitMs, 'sha256sum', ...paths.map((path) => join(mountpoint, path))).outcome;
  const lines = outcome.stdout.toString().trim().split('\n');
  const wrong = paths.filter((path, index) => lines[index] !== `${volume.files.get(path)}  ${join(mountpoint, path)}`);
  if (outcome.code === 0 && wrong.length === 0) return paths.length;
  const end =
    outcome.signal === null ? `exit code ${outcome.code}` : `${outcome.signal}: not done within ${limitMs} ms`;
  throw new Error(`reading ${mountpoint}: ${end}: ${outcome.stderr.trim() || `wrong bytes in ${wrong.join(', ')}`}`);
}
