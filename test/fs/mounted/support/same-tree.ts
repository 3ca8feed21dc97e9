/**
 * Compares a mounted tree with the one that it was made of, entry by entry: name, kind, mode, mtime to the nanosecond, size,
 * SHA-256 of the bytes as they are read, target. Both are walked by a process of its own (manifest.py).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

const WALKER = fileURLToPath(new URL('manifest.py', import.meta.url));
/** Against hangs: 50,000 files, or 4 GiB, on a machine that is busy. */
const WALK_LIMIT_MS = 180_000;
/** Of what differs, how much is shown. */
const SHOWN = 10;

export interface TreeEntry {
  /** Relative, from `/` on; '' for the root. Bytes, a character each (latin1). */
  readonly path: string;
  readonly kind: 'directory' | 'file' | 'symlink' | 'other';
  /** The permission bits, as Python prints octal: `0o644`. */
  readonly mode: string;
  /** Nanoseconds, in decimal: more digits than a number holds. */
  readonly mtime: string;
  readonly size?: number;
  /** How many bytes reading gave. */
  readonly read?: number;
  readonly sha256?: string;
  readonly target?: string;
}

/** What is below `directory`, itself included. */
export async function treeOf(directory: string): Promise<TreeEntry[]> {
  const child = spawn('python3', [WALKER, directory], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: WALK_LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  const pieces: Buffer[] = [];
  let said = '';
  child.stdout.on('data', (piece: Buffer) => pieces.push(piece));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [code, signal] = await once(child, 'close');
  if (code !== 0) throw new Error(`walking ${directory} ended with ${signal ?? code}: ${said}`);
  const lines = Buffer.concat(pieces).toString().trimEnd().split('\n');
  return lines.map((line) => {
    const { path, target, ...rest } = JSON.parse(line);
    return { path: latin1(path), ...rest, ...(target === undefined ? {} : { target: latin1(target) }) };
  });
}

/** How an entry of the source is expected to be shown, where that is not as it is. */
export type Shown = (entry: TreeEntry) => TreeEntry;

/** As content without metadata is shown, where the volume does not say otherwise. */
export const withoutMetadata: Shown = (entry) => ({
  ...entry,
  mode: entry.kind === 'symlink' ? '0o777' : entry.kind === 'directory' ? '0o555' : '0o444',
  mtime: '0',
});

/** Fails with the first entries that differ. Gives how many there are. */
export async function expectSameTree(
  mounted: string,
  source: string | readonly TreeEntry[],
  shown: Shown = (entry) => entry,
): Promise<number> {
  const expected = (typeof source === 'string' ? await treeOf(source) : source).map(shown);
  const found = await treeOf(mounted);
  const byPath = new Map(found.map((entry) => [entry.path, entry]));
  const differ = expected.filter((entry) => JSON.stringify(byPath.get(entry.path)) !== JSON.stringify(entry));
  const wanted = new Set(expected.map(({ path }) => path));
  const surplus = found.filter(({ path }) => !wanted.has(path));
  const differences = differ.slice(0, SHOWN).map((entry) => ({ source: entry, mounted: byPath.get(entry.path) }));
  expect({ differences, surplus: surplus.slice(0, SHOWN) }).toEqual({ differences: [], surplus: [] });
  expect(found.length).toBe(expected.length);
  return found.length;
}

function latin1(hexadecimal: string): string {
  return Buffer.from(hexadecimal, 'hex').toString('latin1');
}
