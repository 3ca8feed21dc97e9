/**
 * One answer of an HTTP source, read within bounds. A body is read once, by exactly one of the methods; whoever has no
 * use for it calls `discard`, or its socket stays taken.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import type { CodedError } from '../base/errors.ts';
import { blockMemory } from '../blocks/block-memory.ts';
import { Pieces } from './pieces.ts';

/** Of an error's body, what is read: it may be endless. Kubo's longest messages stay well below. */
const MAX_TEXT_BYTES = 4096;
/** A read of a TLS socket gives 16 KiB at the most. */
const LARGE_PIECE_BYTES = 12 * 1024;

export class HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly #body: Dispatcher.ResponseData['body'];
  readonly #translate: (error: unknown) => CodedError;

  /** `translate` turns what the network throws into a CodedError. */
  constructor(response: Dispatcher.ResponseData, translate: (error: unknown) => CodedError) {
    this.status = response.statusCode;
    this.headers = response.headers;
    this.#body = response.body;
    this.#translate = translate;
    // An abort between two reads destroys the body with an error that nobody listens for.
    this.#body.on('error', () => {});
  }

  /** The content type alone, such as `text/html`; '' where none was sent. */
  get type(): string {
    return (this.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  }

  /**
   * The whole body; `undefined` as soon as it turns out to be more than `maxBytes`, and the request is ended. `onBytes` is
   * told of each piece.
   * @throws SOURCE_FAILED where it breaks off, ABORTED.
   */
  bytes(maxBytes: number, onBytes?: (count: number) => void): Promise<Uint8Array | undefined> {
    const announced = Number(this.headers['content-length'] ?? Number.NaN);
    if (announced > maxBytes) {
      this.discard();
      return Promise.resolve(undefined);
    }
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | undefined>();
    // By events and into place: blocks come by the thousand, and an iterator costs more than a copy of what it yields.
    const whole = new CollectedBody(announced >= 0 ? announced : undefined, maxBytes);
    const body = this.#body;
    let ended = false;
    const fail = (error: unknown) => reject(this.#translate(error));
    body.on('data', (chunk: Uint8Array) => {
      onBytes?.(chunk.length);
      if (whole.add(chunk)) return;
      ended = true;
      resolve(undefined);
      body.destroy();
    });
    body.once('end', () => {
      ended = true;
      resolve(whole.bytes);
    });
    body.once('error', fail);
    body.once('close', () => {
      if (!ended) fail(new Error('the answer was cut off'));
    });
    return promise;
  }

  /** The body as it comes, `onBytes` told of each piece. Leaving early ends the request. @throws SOURCE_FAILED where it breaks off, ABORTED. */
  async *chunks(onBytes?: (count: number) => void): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of this.#body as AsyncIterable<Uint8Array>) {
        onBytes?.(chunk.length);
        yield chunk;
      }
    } catch (error) {
      throw this.#translate(error);
    }
  }

  /** The beginning of an error's body for people, on one line; '' where it is HTML, or breaks off. */
  async text(): Promise<string> {
    const parts: Uint8Array[] = [];
    let sizeBytes = 0;
    try {
      for await (const chunk of this.chunks()) {
        parts.push(chunk);
        sizeBytes += chunk.length;
        if (sizeBytes >= MAX_TEXT_BYTES) break;
      }
    } catch {
      // What came is enough to show.
    }
    if (this.type === 'text/html') return '';
    const text = Buffer.concat(parts).subarray(0, MAX_TEXT_BYTES).toString();
    return text.replace(/[\p{C}\s]+/gu, ' ').trim();
  }

  /** Gives the socket back: reused where little is left to come, closed otherwise. */
  discard(): void {
    this.#body.dump({ limit: MAX_TEXT_BYTES }).catch(() => {});
  }
}

/** Pieces put together: in one buffer from the start where the size is known. */
class CollectedBody {
  readonly #maxBytes: number;
  readonly #whole: Uint8Array | undefined;
  readonly #pieces = new Pieces();
  #sizeBytes = 0;

  constructor(announcedBytes: number | undefined, maxBytes: number) {
    this.#maxBytes = announcedBytes ?? maxBytes;
    if (announcedBytes !== undefined) this.#whole = blockMemory(announcedBytes);
  }

  /** False where that is more than there may be. */
  add(piece: Uint8Array): boolean {
    if (this.#sizeBytes + piece.length > this.#maxBytes) return false;
    this.#sizeBytes += piece.length;
    if (this.#whole) {
      this.#whole.set(piece, this.#sizeBytes - piece.length);
      giveBack(piece);
    } else this.#pieces.add(piece);
    return true;
  }

  get bytes(): Uint8Array {
    return this.#whole ? this.#whole.subarray(0, this.#sizeBytes) : this.#pieces.bytes;
  }
}

/**
 * Each read of a socket allocates memory of its own, 64 KiB, of which a body's pieces are views: as much garbage as blocks.
 * The piece at its end is the last one, and nobody looks at it any more when we have copied that. What is small may stand in
 * memory that is shared with others (`Buffer.poolSize`).
 */
function giveBack({ buffer, byteOffset, length }: Uint8Array): void {
  if (length >= LARGE_PIECE_BYTES && byteOffset + length === buffer.byteLength) (buffer as ArrayBuffer).transfer(0);
}
