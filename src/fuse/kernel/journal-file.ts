/**
 * The file of a node journal: a mark at its start, then records, only ever appended to.
 *
 * Nothing is synced: it has to outlive a process, not the machine, with which the FUSE connection ends.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import type { NodeEvent } from '../../fs/node-recorder.ts';
import { EventDecoder } from './node-events.ts';

/** The last byte is the version of the records. */
const MARK = Buffer.from('IVNODES\x01');
/** Records are decoded by this much at a time. A volume's or node's record has some hundred bytes. */
const READ_BYTES = 1024 * 1024;

export class JournalFile {
  readonly path: string;
  readonly #descriptor: number;
  #length: number;

  private constructor(path: string, descriptor: number, length: number) {
    this.path = path;
    this.#descriptor = descriptor;
    this.#length = length;
  }

  /** An empty journal at `path`, whatever was there. */
  static create(path: string): JournalFile {
    const file = new JournalFile(path, openSync(path, 'w', 0o600), 0);
    try {
      file.append(MARK);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** The journal at `path`, to go on with: reading comes first. */
  static open(path: string): JournalFile {
    return new JournalFile(path, openSync(path, constants.O_RDWR), 0);
  }

  /** Bytes of whole records, and the mark. */
  get length(): number {
    return this.#length;
  }

  /**
   * All events, for a journal that was opened; what is cut off at the end is cut away, so that appending can go on behind
   * the last whole record. @throws INTERNAL for what is no journal of ours from some point on
   */
  *events(onRead: () => void = () => undefined): Generator<NodeEvent, void> {
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, fstatSync(this.#descriptor).size + 1));
    let kept = 0;
    let at = 0;
    for (;;) {
      const read = readSync(this.#descriptor, buffer, kept, buffer.length - kept, at);
      onRead();
      at += read;
      const bytes = buffer.subarray(0, kept + read);
      let start = 0;
      if (this.#length === 0) {
        // A process that died before it had written the mark had told nobody anything.
        if (!MARK.subarray(0, bytes.length).equals(bytes.subarray(0, MARK.length))) throw new Error('it has no mark');
        if (bytes.length < MARK.length) break;
        start = MARK.length;
      }
      const decoder = new EventDecoder(bytes, start);
      for (let event = decoder.next(); event !== undefined; event = decoder.next()) yield event;
      this.#length += decoder.position;
      kept = buffer.copy(buffer, 0, decoder.position, bytes.length);
      if (read === 0) break;
      if (kept === buffer.length) throw new Error('it has a record without an end');
    }
    ftruncateSync(this.#descriptor, this.#length);
    if (this.#length === 0) this.append(MARK);
  }

  /** @throws what the file system says; the last record may then be cut off. */
  append(bytes: Uint8Array): void {
    for (let written = 0; written < bytes.length; ) {
      const count = writeSync(this.#descriptor, bytes, written, bytes.length - written, this.#length);
      written += count;
      this.#length += count;
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
