/**
 * Node events as bytes: what the node journal consists of.
 *
 * A type byte, then fields: numbers as varints (seven bits a byte, lowest first, as in unsigned LEB128), strings with
 * their length before them. A record that is cut off is told from a whole one by its end being missing, wherever it is cut.
 * Nodes are encoded from the live objects, a million of them without making another million.
 */
import { CID } from 'multiformats/cid';
import { CodedError } from '../../base/errors.ts';
import type { NodeKind } from '../../fs/file-system.ts';
import type { MountedVolume } from '../../fs/mounted-volume.ts';
import { isDirectory, type Node } from '../../fs/node.ts';
import type { NextNumbers, NodeAddedEvent, NodeEvent } from '../../fs/node-recorder.ts';

const TYPES = { volume: 1, volumeRemoved: 2, content: 3, directory: 4, count: 5, held: 6, ended: 7, next: 8 } as const;

const SYMLINK = 1;
const SIZE_VERIFIED = 2;
/** Before 1970. */
const MTIME_NEGATIVE = 4;

/** Of the numbers and lengths of any record: twelve varints of safe integers, eight bytes each. */
const FIELDS_BYTES = 12 * 8;
const BUFFER_BYTES = 256 * 1024;

/** What the record of `node` cannot be longer than. */
export function maximalBytes(node: Node): number {
  return FIELDS_BYTES + node.key.length + (isDirectory(node) ? node.name.length : 8 * node.holders.volumes.length);
}

/** About what it takes: for a node, always the same. */
export function usualBytes(node: Node): number {
  return 24 + node.key.length + (isDirectory(node) ? node.name.length : 0);
}

/** Records one after the other in a buffer, until they are taken. */
export class EventEncoder {
  #bytes = Buffer.allocUnsafe(BUFFER_BYTES);
  #at = 0;

  get length(): number {
    return this.#at;
  }

  /** True where a record of at most `bytes` fits behind what is here. One that fits in no buffer is given a larger one. */
  hasRoom(bytes: number): boolean {
    if (this.#at + bytes <= this.#bytes.length) return true;
    if (this.#at > 0) return false;
    this.#bytes = Buffer.allocUnsafe(bytes);
    return true;
  }

  /** What is here, valid until the next record; the buffer is empty then. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#at);
    this.#at = 0;
    return taken;
  }

  volume({ spec, owner, serial }: MountedVolume): void {
    this.#byte(TYPES.volume);
    this.#number(serial);
    this.#string(Buffer.from(spec.name).toString('latin1'));
    this.#string(Buffer.from(spec.root.bytes).toString('latin1'));
    for (const number of [owner.uid, owner.gid, owner.fileMode, owner.dirMode]) this.#number(number);
    this.#number(Math.ceil(spec.timeoutMs));
  }

  volumeRemoved({ serial }: MountedVolume): void {
    this.#byte(TYPES.volumeRemoved);
    this.#number(serial);
  }

  node(node: Node, lookups: number): void {
    const { kind, mode, mtimeSeconds, mtimeNanoseconds } = node.appearance;
    const directory = isDirectory(node);
    this.#byte(directory ? TYPES.directory : TYPES.content);
    this.#number(node.id);
    this.#number(lookups);
    this.#string(node.key);
    let flags = mtimeSeconds < 0 ? MTIME_NEGATIVE : 0;
    if (kind === 'symlink') flags |= SYMLINK;
    if (!directory && node.sizeVerified) flags |= SIZE_VERIFIED;
    this.#byte(flags);
    this.#number(mode);
    this.#number(Math.abs(mtimeSeconds));
    this.#number(mtimeNanoseconds);
    if (directory) {
      this.#number(node.volume.serial);
      this.#number(node.parent);
      this.#string(node.name);
    } else {
      this.#number(node.sizeBytes);
      const { volumes } = node.holders;
      this.#number(volumes.length);
      for (const { serial } of volumes) this.#number(serial);
    }
  }

  count(id: number, lookups: number): void {
    this.#byte(TYPES.count);
    this.#number(id);
    this.#number(lookups);
  }

  held(id: number, serial: number): void {
    this.#byte(TYPES.held);
    this.#number(id);
    this.#number(serial);
  }

  ended(id: number): void {
    this.#byte(TYPES.ended);
    this.#number(id);
  }

  next({ node, serial }: NextNumbers): void {
    this.#byte(TYPES.next);
    this.#number(node);
    this.#number(serial);
  }

  #byte(value: number): void {
    this.#bytes[this.#at++] = value;
  }

  /** A safe integer that is not negative. */
  #number(value: number): void {
    let rest = value;
    while (rest > 0x7fff_ffff) {
      this.#bytes[this.#at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      this.#bytes[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.#at++] = rest;
  }

  /** A character a byte. */
  #string(text: string): void {
    this.#number(text.length);
    this.#at += this.#bytes.write(text, this.#at, 'latin1');
  }
}

/** Thrown where the bytes end within a record. */
const CUT_OFF = new CodedError('INTERNAL', 'a record that is cut off');

/** Records out of bytes, one a call. */
export class EventDecoder {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, start = 0) {
    this.#bytes = bytes;
    this.#at = start;
  }

  /** Where the next record begins. */
  get position(): number {
    return this.#at;
  }

  /** Undefined where the bytes end, also within a record. @throws INTERNAL for what was never written */
  next(): NodeEvent | undefined {
    const start = this.#at;
    try {
      return this.#event();
    } catch (error) {
      this.#at = start;
      if (error === CUT_OFF) return undefined;
      throw error;
    }
  }

  #event(): NodeEvent {
    const type = this.#byte();
    switch (type) {
      case TYPES.volume:
        return this.#volume();
      case TYPES.volumeRemoved:
        return { type: 'volume-removed', serial: this.#number() };
      case TYPES.content:
      case TYPES.directory:
        return this.#node(type === TYPES.directory);
      case TYPES.count:
        return { type: 'count', id: this.#number(), lookups: this.#number() };
      case TYPES.held:
        return { type: 'held', id: this.#number(), serial: this.#number() };
      case TYPES.ended:
        return { type: 'ended', id: this.#number() };
      case TYPES.next:
        return { type: 'next', next: { node: this.#number(), serial: this.#number() } };
      default:
        throw new CodedError('INTERNAL', `there is no record of type ${type}`);
    }
  }

  #volume(): NodeEvent {
    const serial = this.#number();
    const name = Buffer.from(this.#string(), 'latin1').toString('utf8');
    const root = CID.decode(Buffer.from(this.#string(), 'latin1'));
    const [uid, gid, fileMode, dirMode] = [this.#number(), this.#number(), this.#number(), this.#number()];
    return { type: 'volume', serial, name, root, uid, gid, fileMode, dirMode, timeoutMs: this.#number() };
  }

  #node(directory: boolean): NodeAddedEvent {
    const id = this.#number();
    const lookups = this.#number();
    const key = this.#string();
    const flags = this.#byte();
    const mode = this.#number();
    const mtimeSeconds = this.#number() * (flags & MTIME_NEGATIVE ? -1 : 1);
    const mtimeNanoseconds = this.#number();
    const seen = { type: 'node', id, lookups, key, mode, mtimeSeconds, mtimeNanoseconds } as const;
    if (directory) {
      const volumes = [this.#number()];
      return { ...seen, kind: 'directory', volumes, place: { parent: this.#number(), name: this.#string() } };
    }
    const kind: NodeKind = flags & SYMLINK ? 'symlink' : 'file';
    const sizeBytes = this.#number();
    const volumes: number[] = [];
    for (let left = this.#number(); left > 0; left--) volumes.push(this.#number());
    return { ...seen, kind, volumes, content: { sizeBytes, sizeVerified: (flags & SIZE_VERIFIED) !== 0 } };
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw CUT_OFF;
    return byte;
  }

  #number(): number {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
      factor *= 128;
    }
    if (!Number.isSafeInteger(value)) throw new CodedError('INTERNAL', 'a number above 2^53');
    return value;
  }

  #string(): string {
    const length = this.#number();
    const end = this.#at + length;
    if (end > this.#bytes.length) throw CUT_OFF;
    const text = this.#bytes.toString('latin1', this.#at, end);
    this.#at = end;
    return text;
  }
}
