/**
 * INIT: the kernel says what it can, and the answer what of it shall be used, for the life of the connection. The result
 * is plain data: whoever takes a connection over gets no INIT and is handed this instead.
 */
import { CodedError } from '../../base/errors.ts';
import type { InitBody } from './decode-request.ts';
import { INIT_FLAGS, PROTOCOL_MAJOR, PROTOCOL_MINOR_NEWEST, PROTOCOL_MINOR_OLDEST } from './protocol.ts';

/** What holds for a connection; survives JSON. */
export interface Negotiated {
  readonly minor: number;
  /** Of the flags offered, those taken: a hexadecimal number, because JSON has no 64-bit ones. */
  readonly flags: string;
  readonly maxReadaheadBytes: number;
  /** The kernel sends unanswered requests again on demand (Linux 6.9). */
  readonly resend: boolean;
}

const F = INIT_FLAGS;
const WANTED_FLAGS =
  F.ASYNC_READ | // readahead while the reader goes on
  F.AUTO_INVAL_DATA | // look at a changing directory's mtime before its cached listing is used
  F.DO_READDIRPLUS | // names and attributes in one answer, always: see READDIRPLUS_AUTO below
  F.NO_OPEN_SUPPORT | // ENOSYS to OPEN: no request for open and close, page cache kept
  F.PARALLEL_DIROPS | // look-ups in one directory don't wait for each other
  F.MAX_PAGES |
  F.CACHE_SYMLINKS |
  F.NO_OPENDIR_SUPPORT | // ENOSYS to OPENDIR: listings are cached
  F.INIT_EXT |
  F.HAS_RESEND;

// READDIRPLUS_AUTO is not taken: it gives attributes only to readers that look at them while they list, as `ls -l` does.
// tar and cp list first and look then, and paid a look-up for each file (1.7 s instead of 0.9 s for 10,000); a cold
// `find`, which needs none, pays 5 µs a name for the rest.
// Nor is ASYNC_DIO: whoever reads past the page cache would wait for its requests without a chance to be killed.

/** 1 MiB an answer, the most that the kernel allows by default (fs.fuse.max_pages_limit). */
const MAX_PAGES = 256;
/** Nothing is ever written here; this keeps requests within the 8 KiB of FUSE_MIN_READ_BUFFER. */
const MAX_WRITE_BYTES = 4096;
/**
 * Requests that the kernel may have under way without a waiting process, most of them readahead. The default, 12, is one
 * queue for all volumes: twelve hanging ones would stop the others. 4096 reads of 128 KiB are beyond any memory bound.
 */
const MAX_BACKGROUND = 4096;
/** From here on the kernel calls the device congested and skips readahead: three quarters, its own ratio. */
const CONGESTION_THRESHOLD = 3072;

/** @throws MOUNT_FAILED for a kernel that is too old, or of a major version that does not exist yet. */
export function negotiate(init: InitBody): Negotiated {
  if (init.major !== PROTOCOL_MAJOR || init.minor < PROTOCOL_MINOR_OLDEST) {
    throw new CodedError(
      'MOUNT_FAILED',
      `this kernel speaks FUSE ${init.major}.${init.minor}; at least 7.${PROTOCOL_MINOR_OLDEST} is needed (Linux 5.4)`,
    );
  }
  const flags = init.flags & WANTED_FLAGS;
  return {
    minor: Math.min(init.minor, PROTOCOL_MINOR_NEWEST),
    flags: flags.toString(16),
    maxReadaheadBytes: init.maxReadaheadBytes,
    resend: (flags & F.HAS_RESEND) !== 0n,
  };
}

/** struct fuse_init_out: 64 bytes. */
export function encodeInitReply(negotiated: Negotiated): Uint8Array {
  const bytes = Buffer.alloc(64);
  const flags = BigInt(`0x${negotiated.flags}`);
  bytes.writeUInt32LE(PROTOCOL_MAJOR, 0);
  bytes.writeUInt32LE(negotiated.minor, 4);
  bytes.writeUInt32LE(negotiated.maxReadaheadBytes, 8);
  bytes.writeUInt32LE(Number(flags & 0xffff_ffffn), 12);
  bytes.writeUInt16LE(MAX_BACKGROUND, 16);
  bytes.writeUInt16LE(CONGESTION_THRESHOLD, 18);
  bytes.writeUInt32LE(MAX_WRITE_BYTES, 20);
  bytes.writeUInt32LE(1, 24); // time_gran: nanoseconds
  bytes.writeUInt16LE(MAX_PAGES, 28);
  bytes.writeUInt32LE(Number(flags >> 32n), 32);
  return bytes;
}
