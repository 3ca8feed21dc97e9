/**
 * Packs a directory's entries into the answer of READDIR or READDIRPLUS: struct fuse_dirent(plus), each padded to eight
 * bytes, as many as fit in what the kernel asked for.
 *
 * Offsets are ours to choose and name the entry that follows: 1 is behind `.`, 2 behind `..`, and 2 + cursor behind an
 * entry of the file system.
 */
import { type ListedEntry, type NodeId, ROOT_NODE } from '../../fs/file-system.ts';
import { DIRECTORY_ENTRY_BYTES, ENTRY_BYTES, FILE_TYPES } from './protocol.ts';
import { setUint64, writeEntry } from './structures.ts';

/** Offsets 0 and 1 are `.` and `..`. */
const OWN_ENTRIES = 2;
/** d_ino where we have none (libfuse's value): glibc's readdir takes 0 for a deleted entry and skips it. */
const UNKNOWN_INODE = 0xffff_ffff;

const DOT = Buffer.from('.');
const DOT_DOT = Buffer.from('..');

export class DirectoryPacker {
  /** The cursor to pass to `FileSystem.list`. */
  readonly cursor: number;
  /** Nodes whose entry was packed: looked up once each, as soon as the answer is delivered. */
  readonly lookedUp: NodeId[] = [];
  readonly #withAttributes: boolean;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  #used = 0;

  /** Fills `bytes`, first with what is left of `.` (the directory of number `inode`) and `..` from `offset` on. */
  constructor(inode: number, offset: number, bytes: Buffer, withAttributes: boolean) {
    this.#withAttributes = withAttributes;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.cursor = Math.max(0, offset - OWN_ENTRIES);
    if (offset < 1) this.#add(DOT, inode, FILE_TYPES.directory, 1, undefined);
    const parent = inode === ROOT_NODE ? ROOT_NODE : UNKNOWN_INODE;
    if (offset < 2) this.#add(DOT_DOT, parent, FILE_TYPES.directory, 2, undefined);
  }

  /** True where it fitted; what `FileSystem.list` calls. */
  readonly fill = (listed: ListedEntry): boolean =>
    this.#add(
      listed.name,
      listed.inode === 0 ? UNKNOWN_INODE : listed.inode,
      FILE_TYPES[listed.kind ?? 'unknown'],
      listed.nextCursor + OWN_ENTRIES,
      listed.entry && this.#withAttributes ? listed : undefined,
    );

  /** What was packed. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#used);
  }

  #add(name: Uint8Array, inode: number, type: number, next: number, known: ListedEntry | undefined): boolean {
    const prefix = this.#withAttributes ? ENTRY_BYTES : 0;
    const length = prefix + DIRECTORY_ENTRY_BYTES + name.length;
    const padded = (length + 7) & ~7;
    if (this.#used + padded > this.#bytes.length) return false;
    const at = this.#used;
    if (known?.entry) {
      writeEntry(this.#view, at, known.entry);
      this.lookedUp.push(known.entry.attributes.node);
    } else {
      // Node 0: the kernel makes no entry of it, and asks when somebody wants to know.
      this.#bytes.fill(0, at, at + prefix);
    }
    // The padding, and what of the name stands before it.
    setUint64(this.#view, at + padded - 8, 0);
    setUint64(this.#view, at + prefix, inode);
    setUint64(this.#view, at + prefix + 8, next);
    this.#view.setUint32(at + prefix + 16, name.length, true);
    this.#view.setUint32(at + prefix + 20, type, true);
    this.#bytes.set(name, at + prefix + DIRECTORY_ENTRY_BYTES);
    this.#used += padded;
    return true;
  }
}
