/**
 * A file's bytes in chunks of 1 MiB, one read ahead of whoever hashes, refusing a file that changes meanwhile.
 *
 * A file that grows, shrinks or is written to while it is read would get a CID of a content that never was; size and
 * mtime are compared at the end with what was seen at the start.
 */
import { type BigIntStats, closeSync, constants, fstatSync, openSync, read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { CodedError } from '../../base/errors.ts';
import { CHUNK_BYTES } from './file-dag.ts';

const readAsync = promisify(read);

/** An open regular file; whoever opened it closes it. */
export interface OpenFile {
  readonly path: string;
  readonly fd: number;
  readonly stat: BigIntStats;
  readonly sizeBytes: number;
}

/**
 * Opens a regular file for reading. A fifo put in its place since it was listed neither blocks nor is read.
 * @throws INPUT_INVALID naming the path.
 */
export function openFile(path: string): OpenFile {
  // O_NONBLOCK lets the open of a fifo return; regular files ignore it.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const stat = fstatSync(fd, { bigint: true });
  if (!stat.isFile()) {
    closeSync(fd);
    throw changed(path);
  }
  return { path, fd, stat, sizeBytes: Number(stat.size) };
}

/** All chunks of a file of at most one chunk: one read in place of three trips to the thread pool, or none. */
export function readSmall(file: OpenFile): Uint8Array[] {
  // One byte more than expected shows a file that grew.
  const buffer = Buffer.allocUnsafe(file.sizeBytes + 1);
  let length = 0;
  for (let n = -1; n !== 0 && length < buffer.length; length += n) {
    n = readSync(file.fd, buffer, length, buffer.length - length, null);
  }
  checkUnchanged(file, length);
  return length === 0 ? [] : [buffer.subarray(0, length)];
}

/** The chunks of a larger file; while one is hashed, the next is being read. @throws INPUT_INVALID where it changed. */
export async function* readLarge(file: OpenFile): AsyncGenerator<Uint8Array> {
  let total = 0;
  let next = readChunk(file.fd);
  for (;;) {
    const chunk = await next;
    total += chunk.length;
    if (chunk.length < CHUNK_BYTES || total > file.sizeBytes) {
      checkUnchanged(file, total);
      if (chunk.length > 0) yield chunk;
      return;
    }
    next = readChunk(file.fd);
    // Awaited in the next turn; a failure before that must not count as unhandled.
    next.catch(() => {});
    try {
      yield chunk;
    } finally {
      // The descriptor must outlive the read, also where the consumer gives up here.
      await next.catch(() => {});
    }
  }
}

async function readChunk(fd: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let length = 0;
  while (length < CHUNK_BYTES) {
    const { bytesRead } = await readAsync(fd, buffer, length, CHUNK_BYTES - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}

function checkUnchanged(file: OpenFile, lengthBytes: number): void {
  const now = fstatSync(file.fd, { bigint: true });
  if (lengthBytes !== file.sizeBytes || now.size !== file.stat.size || now.mtimeNs !== file.stat.mtimeNs) {
    throw changed(file.path);
  }
}

function changed(path: string): CodedError {
  return new CodedError('INPUT_INVALID', `${path}: changed while it was being read; add it again when it is at rest`);
}
