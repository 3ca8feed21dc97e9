/** Bytes of all regular files below a path: what a progress bar needs to know beforehand, and nothing else does. */
import { lstatSync, readdirSync, statSync } from 'node:fs';

/** `undefined` where anything is in the way: `addTree` will say what. */
export function measureTree(path: string): number | undefined {
  try {
    const stat = statSync(path);
    return stat.isDirectory() ? measureDirectory(path) : stat.size;
  } catch {
    return undefined;
  }
}

function measureDirectory(path: string): number {
  let bytes = 0;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) bytes += measureDirectory(`${path}/${entry.name}`);
    else if (entry.isFile()) bytes += lstatSync(`${path}/${entry.name}`).size;
  }
  return bytes;
}
