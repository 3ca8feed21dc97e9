/**
 * A file that is there whole or not at all: written beside its place as `FILE.part`, synced, and renamed.
 *
 * What is there and no regular file (a fifo, `/dev/null`) is written to as it is; a symlink stays one, and its target is what
 * is replaced.
 */
import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import { CodedError } from '../base/errors.ts';
import { inputError } from './input-error.ts';

/** Resolves once all of `content` is in the file `path`. @throws INPUT_INVALID naming it, and what `content` throws */
export async function writeWholeFile(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (there?.isDirectory()) throw new CodedError('INPUT_INVALID', `${path}: is a directory; name a file in it`);
  try {
    if (there && !there.isFile()) return await write(path, content, false);
    const target = there ? await realpath(path) : path;
    const part = `${target}.part`;
    try {
      await write(part, content, true);
      await rename(part, target);
    } catch (error) {
      await rm(part, { force: true }).catch(() => undefined);
      throw error;
    }
  } catch (error) {
    throw inputError(path, error);
  }
}

/** The file is closed when it ends, however it does: none comes to be after its removal. */
async function write(path: string, content: AsyncIterable<Uint8Array>, synced: boolean): Promise<void> {
  await using file = await open(path, 'w');
  await file.writeFile(content);
  if (synced) await file.sync();
}
