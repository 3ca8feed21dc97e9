/**
 * Reads the protobuf wire format (protobuf.dev/programming-guides/encoding) in place: positions into the block instead
 * of copies, so that what a hostile block can make us allocate is bounded by what it is, at most 2 MiB.
 *
 * Whatever does not parse is DAG_INVALID. Nothing is read outside `start`..`end`.
 */
import { CodedError } from '../base/errors.ts';

export const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
export const WIRE_FIXED32 = 5;

export class ProtobufReader {
  readonly bytes: Uint8Array;
  readonly #end: number;
  /** Where the next field begins. */
  position: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.position = start;
    this.#end = end;
  }

  get more(): boolean {
    return this.position < this.#end;
  }

  /** An unsigned varint: exact up to 2^53 - 1, above that a number that is no safe integer, which callers refuse. */
  varint(): number {
    let value = 0;
    let factor = 1;
    // Ten bytes hold 64 bits; more is no varint.
    for (let count = 0; count < 10; count++) {
      if (this.position >= this.#end) break;
      const byte = this.bytes[this.position++] as number;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
    throw new CodedError('DAG_INVALID', 'protobuf: a number is cut off or longer than 64 bits');
  }

  /** What a field begins with: eight times its number, and its wire type. Numbers are 1 to 2^29 - 1. */
  tag(): number {
    const tag = this.varint();
    if (tag < 8 || tag >= 2 ** 32) throw new CodedError('DAG_INVALID', 'protobuf: a field without a valid number');
    return tag;
  }

  /** An int64 in two's complement. @throws DAG_INVALID outside the safe integers. */
  int64(): number {
    const start = this.position;
    const unsigned = this.varint();
    if (Number.isSafeInteger(unsigned)) return unsigned;
    let exact = 0n;
    for (let at = this.position - 1; at >= start; at--)
      exact = (exact << 7n) | BigInt((this.bytes[at] as number) & 0x7f);
    const signed = Number(BigInt.asIntN(64, exact));
    if (Number.isSafeInteger(signed)) return signed;
    throw new CodedError('DAG_INVALID', 'protobuf: a number beyond 2^53');
  }

  fixed32(): number {
    const at = this.#take(4);
    const { bytes } = this;
    return (
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24)) >>>
      0
    );
  }

  /** Moves behind a length-delimited field; its bytes are from what is returned to `position`. */
  bytesField(): number {
    return this.#take(this.varint());
  }

  /** Moves behind a field that nobody reads. */
  skip(wireType: number): void {
    if (wireType === WIRE_VARINT) this.varint();
    else if (wireType === WIRE_BYTES) this.bytesField();
    else if (wireType === WIRE_FIXED64) this.#take(8);
    else if (wireType === WIRE_FIXED32) this.#take(4);
    else throw new CodedError('DAG_INVALID', `protobuf: wire type ${wireType}`);
  }

  #take(length: number): number {
    const start = this.position;
    if (!(length <= this.#end - start)) throw new CodedError('DAG_INVALID', 'protobuf: a field is cut off');
    this.position = start + length;
    return start;
  }
}
