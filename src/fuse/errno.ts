/**
 * The one translation from error codes to what a reader's system call fails with.
 *
 * ENOENT is said of a name that is not in a directory that was read, and of nothing else: content that cannot be had is
 * EIO or ETIMEDOUT, because programs take ENOENT for an answer and go on without.
 */
import { codeOf, type ErrorCode } from '../base/errors.ts';

/** Linux's numbers (asm-generic/errno-base.h, errno.h), which amd64 and arm64 share. Positive. */
export const ERRNO = {
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  EBADF: 9,
  ENOMEM: 12,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EROFS: 30,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENODATA: 61,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ESTALE: 116,
} as const;

const ERRNO_BY_CODE: Readonly<Record<ErrorCode, number>> = {
  ENTRY_NOT_FOUND: ERRNO.ENOENT,
  NOT_A_DIRECTORY: ERRNO.ENOTDIR,
  IS_A_DIRECTORY: ERRNO.EISDIR,
  NOT_A_SYMLINK: ERRNO.EINVAL,
  NAME_TOO_LONG: ERRNO.ENAMETOOLONG,
  BAD_HANDLE: ERRNO.EBADF,
  // The kernel walks the path anew, and finds the node under its new number.
  NODE_LOST: ERRNO.ESTALE,
  // stat(2) and open(2) have it; ENFILE, which stat(2) has not, sends people to the kernel's own limit.
  TOO_MANY_NODES: ERRNO.ENOMEM,
  READ_ONLY: ERRNO.EROFS,
  NO_ATTRIBUTE: ERRNO.ENODATA,
  BLOCK_UNAVAILABLE: ERRNO.EIO,
  BLOCK_TIMEOUT: ERRNO.ETIMEDOUT,
  BLOCK_CORRUPT: ERRNO.EIO,
  BLOCK_TOO_LARGE: ERRNO.EIO,
  DAG_INVALID: ERRNO.EIO,
  NOT_UNIXFS: ERRNO.EIO,
  SOURCE_FAILED: ERRNO.EIO,
  ABORTED: ERRNO.EINTR,
  // None of these is a file system's answer; where one gets here it is a defect, and EIO says so.
  CONFIG_INVALID: ERRNO.EIO,
  OPTION_INVALID: ERRNO.EIO,
  REFERENCE_INVALID: ERRNO.EIO,
  NAME_UNRESOLVED: ERRNO.EIO,
  REQUEST_INVALID: ERRNO.EIO,
  CAR_INVALID: ERRNO.EIO,
  INPUT_INVALID: ERRNO.EIO,
  USAGE: ERRNO.EIO,
  VOLUME_NOT_FOUND: ERRNO.EIO,
  VOLUME_EXISTS: ERRNO.EIO,
  VOLUME_IN_USE: ERRNO.EIO,
  NOT_IN_STORE: ERRNO.EIO,
  STORE_FULL: ERRNO.EIO,
  STATE_LOCKED: ERRNO.EIO,
  MOUNT_FAILED: ERRNO.EIO,
  DAEMON_UNREACHABLE: ERRNO.EIO,
  INTERNAL: ERRNO.EIO,
};

/** The positive errno for anything thrown. */
export function errnoOf(error: unknown): number {
  return ERRNO_BY_CODE[codeOf(error)];
}

/** True where the number alone does not tell the reader what happened, so that the log and `lastError` must. */
export function needsExplanation(errno: number): boolean {
  return errno === ERRNO.EIO || errno === ERRNO.ETIMEDOUT || errno === ERRNO.ENOMEM;
}
