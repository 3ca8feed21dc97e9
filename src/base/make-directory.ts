/**
 * A directory and those above it, as `mkdir -p` makes them. Node's own (`recursive: true`) never returns where the kernel
 * answers ENOENT although the parent is there, as /proc does: one wrong variable would be a process that spins for ever.
 */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** What is there already stays as it is. @throws the system's error, ENOTDIR where something else is in the way */
export function makeDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const parent = dirname(path);
    if (code === 'ENOENT' && parent !== path && !isThere(parent)) {
      makeDirectory(parent, mode);
      mkdirSync(path, { mode });
      return;
    }
    // A file system that is read-only says so first, whatever is there.
    if (!isDirectory(path)) throw error;
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
