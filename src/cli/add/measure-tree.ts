/** How much there is to add below a path: what a progress bar needs to know beforehand, and nothing else does. */
import { type Dirent, lstatSync, readdirSync, statSync } from 'node:fs';

export interface TreeSize {
  /** Of all regular files. */
  readonly bytes: number;
  /** Files, directories and symlinks, the path itself included. */
  readonly entries: number;
}

/** `undefined` where anything is in the way: `addTree` will say what. */
export function measureTree(path: string): TreeSize | undefined {
  try {
    const stat = statSync(path);
    if (!stat.isDirectory()) return { bytes: stat.size, entries: 1 };
    const size = { bytes: 0, entries: 1 };
    measureDirectory(path, size);
    return size;
  } catch {
    return undefined;
  }
}

function measureDirectory(path: string, size: { bytes: number; entries: number }): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (isAdded(entry)) size.entries++;
    if (entry.isDirectory()) measureDirectory(`${path}/${entry.name}`, size);
    else if (entry.isFile()) size.bytes += lstatSync(`${path}/${entry.name}`).size;
  }
}

function isAdded(entry: Dirent): boolean {
  return entry.isFile() || entry.isDirectory() || entry.isSymbolicLink();
}
