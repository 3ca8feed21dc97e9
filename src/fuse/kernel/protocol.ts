/**
 * The numbers of the kernel's FUSE protocol that we use, by their names in linux/include/uapi/linux/fuse.h (7.31, which
 * came with Linux 5.4, to 7.45). Structures are in the machine's byte order, which on amd64 and arm64 is little-endian.
 */

/** struct fuse_in_header: len, opcode, unique, nodeid, uid, gid, pid, total_extlen, padding. */
export const REQUEST_HEADER_BYTES = 40;
/** struct fuse_out_header: len, error (negative errno), unique. */
export const REPLY_HEADER_BYTES = 16;
/** FUSE_MIN_READ_BUFFER: the kernel refuses to write a request to anything smaller. */
export const REQUEST_LIMIT_BYTES = 8192;

export const PROTOCOL_MAJOR = 7;
/** Linux 5.4; what it lacks of the flags below is left out of the negotiation. */
export const PROTOCOL_MINOR_OLDEST = 31;
/** The newest of which we know that nothing changed for us. A newer kernel then speaks this one. */
export const PROTOCOL_MINOR_NEWEST = 45;

/** Operations by number. What is not here is answered ENOSYS; what would write, EROFS. */
export const OPERATIONS: Readonly<Record<number, string>> = {
  1: 'LOOKUP',
  2: 'FORGET',
  3: 'GETATTR',
  4: 'SETATTR',
  5: 'READLINK',
  6: 'SYMLINK',
  8: 'MKNOD',
  9: 'MKDIR',
  10: 'UNLINK',
  11: 'RMDIR',
  12: 'RENAME',
  13: 'LINK',
  14: 'OPEN',
  15: 'READ',
  16: 'WRITE',
  17: 'STATFS',
  18: 'RELEASE',
  20: 'FSYNC',
  21: 'SETXATTR',
  22: 'GETXATTR',
  23: 'LISTXATTR',
  24: 'REMOVEXATTR',
  25: 'FLUSH',
  26: 'INIT',
  27: 'OPENDIR',
  28: 'READDIR',
  29: 'RELEASEDIR',
  30: 'FSYNCDIR',
  34: 'ACCESS',
  35: 'CREATE',
  36: 'INTERRUPT',
  38: 'DESTROY',
  42: 'BATCH_FORGET',
  43: 'FALLOCATE',
  44: 'READDIRPLUS',
  45: 'RENAME2',
  51: 'TMPFILE',
  52: 'STATX',
};

/** Flags of INIT, in the 64-bit set that the kernel splits over `flags` and `flags2`. */
export const INIT_FLAGS = {
  ASYNC_READ: 1n << 0n,
  AUTO_INVAL_DATA: 1n << 12n,
  DO_READDIRPLUS: 1n << 13n,
  NO_OPEN_SUPPORT: 1n << 17n,
  PARALLEL_DIROPS: 1n << 18n,
  MAX_PAGES: 1n << 22n,
  CACHE_SYMLINKS: 1n << 23n,
  NO_OPENDIR_SUPPORT: 1n << 24n,
  INIT_EXT: 1n << 30n,
  HAS_RESEND: 1n << 39n,
} as const;

/** Notification of node numbers that the kernel is to drop where nobody uses them (protocol 7.45). */
export const NOTIFY_PRUNE = 9;
export const PROTOCOL_MINOR_PRUNE = 45;
/** Notification that makes the kernel queue again what is unanswered (Linux 6.9). */
export const NOTIFY_RESEND = 7;
/** Set in the `unique` of what was queued again; the answer must carry it. */
export const RESENT_UNIQUE_BIT = 1n << 63n;

/** d_type and the S_IFMT bits of a node's kind are the same number, shifted by 12. */
export const FILE_TYPES = { file: 8, directory: 4, symlink: 10, unknown: 0 } as const;

/** struct fuse_attr. */
export const ATTRIBUTES_BYTES = 88;
/** struct fuse_entry_out: nodeid, generation, two time-outs, attributes. */
export const ENTRY_BYTES = 40 + ATTRIBUTES_BYTES;
/** struct fuse_dirent before its name: ino, off, namelen, type. */
export const DIRECTORY_ENTRY_BYTES = 24;
