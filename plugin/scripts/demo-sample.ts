/**
 * What the demo shows and how it is read. The sample tree has directories, a symlink, an executable, modes and times of its own, and
 * a file of several blocks.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Demo {
  /** The sample tree. */
  readonly directory: string;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** One line about a step. */
  readonly say: (line: string) => void;
  /** Undone last first, whatever happens. */
  readonly undo: AsyncDisposableStack;
}

/** What a reader of the sample printed. */
export interface Reading {
  readonly cid: string;
  readonly output: string;
  /** From the start of the command to the first byte of the content. */
  readonly firstByteMs: number;
  readonly wholeMs: number;
}

/** Printed by the reader before the checksums, which the demo compares and does not show. */
export const CHECKSUMS_BELOW = '-- checksums --';

/** The shell script that reads the sample at `directory`. */
export function readingScript(directory: string): string {
  return [
    `cd '${directory}' && cat welcome.txt && ls -l && ./bin/greet`,
    `echo '${CHECKSUMS_BELOW}' && find . -type f -exec sha256sum {} +`,
  ].join(' && ');
}

/** Of 1 MiB each, as `add` cuts files. */
const LARGE_FILE_BLOCKS = 8;

export async function makeSample(directory: string): Promise<void> {
  const at = (...names: string[]) => join(directory, ...names);
  await mkdir(at('bin'));
  await mkdir(at('docs', 'deep'), { recursive: true });
  await writeFile(at('welcome.txt'), 'This line came out of IPFS, block by block, as it was asked for.\n');
  await writeFile(at('bin', 'greet'), '#!/bin/sh\necho "And this one from a program in the volume."\n');
  await chmod(at('bin', 'greet'), 0o755);
  await writeFile(at('docs', 'deep', 'note.txt'), 'found\n');
  await writeFile(at('docs', 'private.txt'), 'for its owner alone\n', { mode: 0o600 });
  const block = (index: number) => Buffer.alloc(1024 * 1024, `block ${index} of the large file\n`);
  await writeFile(
    at('large.bin'),
    Buffer.concat(Array.from({ length: LARGE_FILE_BLOCKS }, (_, index) => block(index))),
  );
  await symlink('docs/deep/note.txt', at('note'));
  // The first day of IPFS's paper on arXiv: a time that nobody could take for today's.
  const then = new Date('2014-07-14T00:00:00Z');
  for (const path of ['large.bin', 'welcome.txt']) await utimes(at(path), then, then);
}

/** As `sha256sum` prints them, sorted by line. */
export async function checksumsOf(directory: string): Promise<string> {
  const { stdout } = await promisify(execFile)('find', ['.', '-type', 'f', '-exec', 'sha256sum', '{}', '+'], {
    cwd: directory,
  });
  return stdout.trim().split('\n').sort().join('\n');
}
