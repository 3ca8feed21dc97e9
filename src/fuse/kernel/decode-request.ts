/**
 * Requests as the kernel writes them, decoded: each body is checked against the bytes that are there, so that arbitrary
 * input gives a value or a CodedError, never a crash and never a read outside.
 *
 * Names are copied: the bytes they come from are reused as soon as the request is handled.
 */
import { CodedError } from '../../base/errors.ts';
import { OPERATIONS, REQUEST_HEADER_BYTES } from './protocol.ts';

/** struct fuse_in_header, as far as we use it. */
export interface RequestHeader {
  /** All 64 bits: bit 63 marks what was sent again to a new process. */
  readonly unique: bigint;
  readonly opcode: number;
  /** A name of `OPERATIONS`, or `OTHER`. */
  readonly operation: string;
  readonly node: number;
}

export interface ReadBody {
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface ForgetBody {
  readonly node: number;
  readonly count: number;
}

export interface GetXattrBody {
  /** 0 asks for the size alone. */
  readonly sizeBytes: number;
  readonly name: string;
}

export interface InitBody {
  readonly major: number;
  readonly minor: number;
  readonly maxReadaheadBytes: number;
  readonly flags: bigint;
}

/** One request over its bytes; every access is checked against their end. */
export class EncodedRequest {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** @throws REQUEST_INVALID: too short, or its length is not what it says (then it cannot be answered either). */
  header(): RequestHeader {
    if (this.#bytes.length < REQUEST_HEADER_BYTES || this.#view.getUint32(0, true) !== this.#bytes.length) {
      throw new CodedError('REQUEST_INVALID', `a FUSE request of ${this.#bytes.length} bytes has no whole header`);
    }
    const opcode = this.#view.getUint32(4, true);
    return {
      unique: this.#view.getBigUint64(8, true),
      opcode,
      operation: OPERATIONS[opcode] ?? 'OTHER',
      node: this.#number(16),
    };
  }

  /** LOOKUP: a name that ends with NUL. */
  name(): Uint8Array {
    return this.#string(REQUEST_HEADER_BYTES);
  }

  /** READ, READDIR, READDIRPLUS: struct fuse_read_in. */
  read(): ReadBody {
    return { offset: this.#number(48), sizeBytes: this.#uint32(56) };
  }

  /** FORGET: struct fuse_forget_in. */
  forgetCount(): number {
    return this.#number(40);
  }

  /** BATCH_FORGET: struct fuse_batch_forget_in and its list. */
  batchForget(): ForgetBody[] {
    const count = this.#uint32(40);
    const forgets: ForgetBody[] = [];
    // A count beyond what the bytes can hold fails at the first one that is not there.
    for (let index = 0, at = 48; index < count; index++, at += 16) {
      forgets.push({ node: this.#number(at), count: this.#number(at + 8) });
    }
    return forgets;
  }

  /** INTERRUPT: the `unique` of the request that is meant. */
  interrupted(): bigint {
    this.#need(40, 8);
    return this.#view.getBigUint64(40, true);
  }

  /** GETXATTR: struct fuse_getxattr_in and a name. */
  getXattr(): GetXattrBody {
    return { sizeBytes: this.#uint32(40), name: Buffer.from(this.#string(48)).toString('utf8') };
  }

  /** LISTXATTR: struct fuse_getxattr_in; 0 asks for the size alone. */
  listXattrSizeBytes(): number {
    return this.#uint32(40);
  }

  /** INIT: struct fuse_init_in; kernels before 7.36 end it at `flags`. */
  init(): InitBody {
    const flags2 = this.#bytes.length >= 60 ? this.#uint32(56) : 0;
    return {
      major: this.#uint32(40),
      minor: this.#uint32(44),
      maxReadaheadBytes: this.#uint32(48),
      flags: BigInt(this.#uint32(52)) | (BigInt(flags2) << 32n),
    };
  }

  #need(offset: number, length: number): void {
    if (offset + length > this.#bytes.length) {
      throw new CodedError('REQUEST_INVALID', `a FUSE request ends at ${this.#bytes.length}, inside a field`);
    }
  }

  #uint32(offset: number): number {
    this.#need(offset, 4);
    return this.#view.getUint32(offset, true);
  }

  /** A 64-bit number that must be a safe integer, as all our node numbers, offsets and counts are. */
  #number(offset: number): number {
    this.#need(offset, 8);
    const value = this.#view.getUint32(offset + 4, true) * 2 ** 32 + this.#view.getUint32(offset, true);
    if (!Number.isSafeInteger(value)) throw new CodedError('BAD_HANDLE', 'a FUSE request holds a number above 2^53');
    return value;
  }

  #string(offset: number): Uint8Array {
    const end = offset <= this.#bytes.length ? this.#bytes.indexOf(0, offset) : -1;
    if (end < 0) throw new CodedError('REQUEST_INVALID', 'a FUSE request holds a name without an end');
    return Buffer.from(this.#bytes.subarray(offset, end));
  }
}
