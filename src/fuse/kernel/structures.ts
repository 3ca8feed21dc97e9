/**
 * Writes the structures that answers are made of. All numbers are safe integers and are split in two halves by hand: a
 * BigInt for each of an entry's nine 64-bit fields would cost more than the rest of a look-up.
 */
import type { Attributes, Entry, NodeKind } from '../../fs/file-system.ts';
import { ATTRIBUTES_BYTES, ENTRY_BYTES, FILE_TYPES } from './protocol.ts';

/** What never changes may be kept for good: ten years, well inside what the kernel's clock arithmetic can hold. */
const FOREVER_SECONDS = 10 * 365 * 86_400;
/** st_blksize: what cp and cat take as their buffer. 128 KiB is what the kernel reads ahead by default. */
const PREFERRED_READ_BYTES = 128 * 1024;
/** The unit of st_blocks, whatever the block size (stat(2)). */
const STAT_BLOCK_BYTES = 512;
/**
 * Links are not counted. For a file, 1 keeps tar from making hard links of equal files, which are one node here. For a
 * directory, 1 says "unknown", as btrfs does: 2 would tell find that there are no sub-directories to look into.
 */
const LINK_COUNT = 1;

/** Also right for negative numbers, as two's complement. */
export function setUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32) >>> 0, true);
}

/** struct fuse_attr, all 88 bytes. Directories that change show the time of asking, see `changingTime`. */
function writeAttributes(view: DataView, offset: number, attributes: Attributes): void {
  const moving = attributes.changeable && attributes.kind === 'directory';
  const [seconds, nanoseconds] = moving ? changingTime() : [attributes.mtimeSeconds, attributes.mtimeNanoseconds];
  setUint64(view, offset, attributes.inode);
  setUint64(view, offset + 8, attributes.sizeBytes);
  setUint64(view, offset + 16, Math.ceil(attributes.sizeBytes / STAT_BLOCK_BYTES));
  // Access and status change have no meaning of their own for content that was made elsewhere.
  for (const field of [24, 32, 40]) setUint64(view, offset + field, seconds);
  for (const field of [48, 52, 56]) view.setUint32(offset + field, nanoseconds, true);
  view.setUint32(offset + 60, modeWithType(attributes.kind, attributes.mode), true);
  view.setUint32(offset + 64, LINK_COUNT, true);
  view.setUint32(offset + 68, attributes.uid, true);
  view.setUint32(offset + 72, attributes.gid, true);
  view.setUint32(offset + 76, 0, true);
  view.setUint32(offset + 80, PREFERRED_READ_BYTES, true);
  view.setUint32(offset + 84, 0, true);
}

/** struct fuse_attr_out. @returns its length */
export function writeAttributesOut(view: DataView, offset: number, attributes: Attributes): number {
  setUint64(view, offset, attributes.changeable ? 0 : FOREVER_SECONDS);
  setUint64(view, offset + 8, 0);
  writeAttributes(view, offset + 16, attributes);
  return 16 + ATTRIBUTES_BYTES;
}

/** struct fuse_entry_out. @returns its length */
export function writeEntry(view: DataView, offset: number, entry: Entry): number {
  setUint64(view, offset, entry.attributes.node);
  setUint64(view, offset + 8, 0);
  setUint64(view, offset + 16, entry.changeable ? 0 : FOREVER_SECONDS);
  setUint64(view, offset + 24, entry.attributes.changeable ? 0 : FOREVER_SECONDS);
  setUint64(view, offset + 32, 0);
  writeAttributes(view, offset + 40, entry.attributes);
  return ENTRY_BYTES;
}

/** struct fuse_entry_out for "there is no such name, and never will be". @returns its length */
export function writeAbsence(view: DataView, offset: number): number {
  for (let at = 0; at < ENTRY_BYTES; at += 8) setUint64(view, offset + at, 0);
  setUint64(view, offset + 16, FOREVER_SECONDS);
  return ENTRY_BYTES;
}

function modeWithType(kind: NodeKind, mode: number): number {
  return (FILE_TYPES[kind] << 12) | (mode & 0o7777);
}

let lastMs = 0;
let withinMs = 0;

/**
 * The time of asking, never the same twice. Without OPENDIR the kernel caches every directory's listing, and takes the
 * cached one for valid as long as the directory's mtime stands still. One that changes must therefore never stand still.
 */
function changingTime(): [seconds: number, nanoseconds: number] {
  const nowMs = Math.max(Date.now(), lastMs);
  withinMs = nowMs === lastMs ? withinMs + 1 : 0;
  lastMs = nowMs;
  return [Math.floor(nowMs / 1000), (nowMs % 1000) * 1_000_000 + Math.min(withinMs, 999_999)];
}
