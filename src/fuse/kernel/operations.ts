/**
 * What each FUSE operation asks of the file system, and how its result is answered.
 *
 * A handler decodes its request at once (its bytes are reused), asks the file system, and answers in the same turn where
 * the file system does. What it throws, or rejects with, its caller answers with the errno. Look-ups that were counted
 * for an answer that nobody took are taken back.
 */
import { CodedError, hasCode } from '../../base/errors.ts';
import { chain, type MaybePromise } from '../../base/maybe-promise.ts';
import { type Entry, type FileSystem, ROOT_NODE } from '../../fs/file-system.ts';
import { ERRNO } from '../errno.ts';
import type { AnswerWriter } from './answer-writer.ts';
import type { EncodedRequest } from './decode-request.ts';
import { DirectoryPacker } from './directory-packer.ts';
import type { PendingRequest } from './pending-request.ts';
import { SpareBuffers } from './spare-buffers.ts';
import { setUint64, writeAbsence, writeAttributesOut, writeEntry } from './structures.ts';

export interface Collaborators {
  readonly fileSystem: FileSystem;
  readonly answers: AnswerWriter;
}

type Handler = (to: Collaborators, request: PendingRequest, encoded: EncodedRequest) => MaybePromise<void>;

/** The longest name, as statfs says and the kernel enforces. */
const NAME_LIMIT_BYTES = 255;
/** More than the kernel ever asks for in one answer: 256 pages, were they of 64 KiB. */
const ANSWER_LIMIT_BYTES = 16 * 1024 * 1024;

/** Marks `request` answered. False where it was before, for instance with EINTR. */
export function claim(request: PendingRequest): boolean {
  if (request.answered) return false;
  request.answered = true;
  return true;
}

const errno =
  (number: number): Handler =>
  (to, request) => {
    if (claim(request)) to.answers.errno(request.unique, number);
  };

const succeed = errno(0);
const readOnly = errno(ERRNO.EROFS);
/** Said once of an operation, and the kernel does without it from then on. */
const notSupported = errno(ERRNO.ENOSYS);

const lookUp: Handler = (to, request, encoded) => {
  const name = encoded.name();
  const found = (entry: Entry): void => {
    const delivered =
      claim(request) && to.answers.structure(request.unique, (view, offset) => writeEntry(view, offset, entry));
    if (!delivered) to.fileSystem.forget(entry.attributes.node, 1);
  };
  const failed = (error: unknown): void => {
    // The names in the root change; below it a name that is not there never will be.
    if (!hasCode(error, 'ENTRY_NOT_FOUND') || request.node === ROOT_NODE) throw error;
    if (claim(request)) to.answers.structure(request.unique, writeAbsence);
  };
  try {
    const entry = to.fileSystem.lookup(request.node, name, request);
    return entry instanceof Promise ? entry.then(found, failed) : found(entry);
  } catch (error) {
    return failed(error);
  }
};

const getAttributes: Handler = (to, request) =>
  chain(to.fileSystem.attributes(request.node, request), (attributes) => {
    if (!claim(request)) return;
    to.answers.structure(request.unique, (view, offset) => writeAttributesOut(view, offset, attributes));
  });

const readLink: Handler = (to, request) =>
  chain(to.fileSystem.readLink(request.node, request), (target) => {
    if (claim(request)) to.answers.bytes(request.unique, [target]);
  });

const read: Handler = (to, request, encoded) => {
  const { offset, sizeBytes } = encoded.read();
  checkAnswerSize(sizeBytes);
  return chain(to.fileSystem.read(request.node, offset, sizeBytes, request), (pieces) => {
    if (claim(request)) to.answers.bytes(request.unique, pieces);
  });
};

const listings = new SpareBuffers();

const list =
  (withAttributes: boolean): Handler =>
  (to, request, encoded) => {
    const { offset, sizeBytes } = encoded.read();
    checkAnswerSize(sizeBytes);
    return chain(to.fileSystem.attributes(request.node, request), ({ inode }) => {
      const memory = listings.take(sizeBytes);
      const packer = new DirectoryPacker(inode, offset, memory, withAttributes);
      const takeBack = (): void => {
        for (const node of packer.lookedUp) to.fileSystem.forget(node, 1);
      };
      const answer = (): void => {
        if (!(claim(request) && to.answers.bytes(request.unique, [packer.bytes()]))) takeBack();
        listings.give(memory);
      };
      const failed = (error: unknown): never => {
        takeBack();
        throw error;
      };
      try {
        const listed = to.fileSystem.list(request.node, packer.cursor, withAttributes, packer.fill, request);
        return listed instanceof Promise ? listed.then(answer, failed) : answer();
      } catch (error) {
        return failed(error);
      }
    });
  };

const statFs: Handler = (to, request) => {
  const { blockSize, totalBytes, fileCount } = to.fileSystem.statistics();
  if (!claim(request)) return;
  // struct fuse_kstatfs: nothing is free, because nothing can be written.
  to.answers.structure(request.unique, (view, offset) => {
    for (let at = 0; at < 80; at += 8) setUint64(view, offset + at, 0);
    setUint64(view, offset, Math.ceil(totalBytes / blockSize));
    setUint64(view, offset + 24, fileCount);
    view.setUint32(offset + 40, blockSize, true);
    view.setUint32(offset + 44, NAME_LIMIT_BYTES, true);
    view.setUint32(offset + 48, blockSize, true);
    return 80;
  });
};

const getXattr: Handler = (to, request, encoded) => {
  if (!to.fileSystem.extendedAttributes) return notSupported(to, request, encoded);
  const { name, sizeBytes } = encoded.getXattr();
  return chain(to.fileSystem.getExtendedAttribute(request.node, name, request), (value) =>
    answerXattr(to, request, sizeBytes, value),
  );
};

const listXattr: Handler = (to, request, encoded) => {
  if (!to.fileSystem.extendedAttributes) return notSupported(to, request, encoded);
  const sizeBytes = encoded.listXattrSizeBytes();
  const names = to.fileSystem.listExtendedAttributes(request.node);
  answerXattr(to, request, sizeBytes, Buffer.from(names.map((name) => `${name}\0`).join('')));
};

/** Both xattr operations: asked for 0 bytes, the size; asked for too few, ERANGE. */
function answerXattr(to: Collaborators, request: PendingRequest, sizeBytes: number, value: Uint8Array): void {
  if (!claim(request)) return;
  if (sizeBytes === 0) {
    to.answers.structure(request.unique, (view, offset) => {
      setUint64(view, offset, value.length);
      return 8;
    });
  } else if (value.length > sizeBytes) to.answers.errno(request.unique, ERRNO.ERANGE);
  else to.answers.bytes(request.unique, [value]);
}

function checkAnswerSize(sizeBytes: number): void {
  if (sizeBytes > ANSWER_LIMIT_BYTES) throw new CodedError('REQUEST_INVALID', `${sizeBytes} bytes asked for at once`);
}

/** Handlers by operation; what has none is answered ENOSYS. FORGETs, INTERRUPT and INIT are the session's. */
export const HANDLERS: Readonly<Record<string, Handler>> = {
  LOOKUP: lookUp,
  GETATTR: getAttributes,
  READLINK: readLink,
  READ: read,
  READDIR: list(false),
  READDIRPLUS: list(true),
  STATFS: statFs,
  GETXATTR: getXattr,
  LISTXATTR: listXattr,
  // With the flags of the negotiation, ENOSYS here means "no need to ask": nothing is opened, flushed or released.
  OPEN: notSupported,
  OPENDIR: notSupported,
  FLUSH: notSupported,
  ACCESS: notSupported, // the kernel checks permissions by itself (default_permissions)
  STATX: notSupported, // the kernel falls back to GETATTR
  RELEASE: succeed,
  RELEASEDIR: succeed,
  FSYNC: succeed,
  FSYNCDIR: succeed,
  DESTROY: succeed,
  SETATTR: readOnly,
  SYMLINK: readOnly,
  MKNOD: readOnly,
  MKDIR: readOnly,
  UNLINK: readOnly,
  RMDIR: readOnly,
  RENAME: readOnly,
  RENAME2: readOnly,
  LINK: readOnly,
  WRITE: readOnly,
  SETXATTR: readOnly,
  REMOVEXATTR: readOnly,
  CREATE: readOnly,
  TMPFILE: readOnly,
  FALLOCATE: readOnly,
};

/** The answer to whatever has no handler. */
export const answerUnknown: Handler = notSupported;
