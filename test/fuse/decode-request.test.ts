import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { EncodedRequest } from '../../src/fuse/kernel/decode-request.ts';
import { OPERATIONS } from '../../src/fuse/kernel/protocol.ts';

/** Every way to look at a request. */
const DECODERS: ReadonlyArray<(request: EncodedRequest) => unknown> = [
  (request) => request.header(),
  (request) => request.name(),
  (request) => request.read(),
  (request) => request.forgetCount(),
  (request) => request.batchForget(),
  (request) => request.interrupted(),
  (request) => request.getXattr(),
  (request) => request.listXattrSizeBytes(),
  (request) => request.init(),
];

function request(
  opcode: number,
  body: Uint8Array,
  { unique = 2n, node = 1n }: { unique?: bigint; node?: bigint } = {},
) {
  const bytes = Buffer.alloc(40 + body.length);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt32LE(opcode, 4);
  bytes.writeBigUInt64LE(unique, 8);
  bytes.writeBigUInt64LE(node, 16);
  bytes.set(body, 40);
  return new EncodedRequest(bytes);
}

describe('decoding a FUSE request', () => {
  it('gives a value or a CodedError for arbitrary bytes, and never looks outside', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 64 }), (bytes, before) => {
        // In the middle of a larger buffer, where looking outside would find something.
        const around = Buffer.alloc(before + bytes.length + 64, 0x41);
        around.set(bytes, before);
        const inside = new EncodedRequest(around.subarray(before, before + bytes.length));
        const alone = new EncodedRequest(bytes);
        for (const decode of DECODERS) expect(outcome(inside, decode)).toEqual(outcome(alone, decode));
      }),
      { numRuns: 500 },
    );
  });

  it('gives a value or a CodedError for a right header with an arbitrary body', () => {
    const opcodes = fc.constantFrom(...Object.keys(OPERATIONS).map(Number), 4095);
    fc.assert(
      fc.property(opcodes, fc.uint8Array({ maxLength: 120 }), (opcode, body) => {
        const encoded = request(opcode, body);
        expect(encoded.header()).toMatchObject({ opcode, operation: OPERATIONS[opcode] ?? 'OTHER', node: 1 });
        for (const decode of DECODERS) outcome(encoded, decode);
      }),
      { numRuns: 500 },
    );
  });

  it('keeps all 64 bits of unique', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (unique) => {
        expect(request(1, Buffer.from('x\0'), { unique }).header().unique).toBe(unique);
      }),
    );
  });

  it('keeps numbers up to 2^53 and refuses those beyond', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (node) => {
        const encoded = request(3, Buffer.alloc(0), { node });
        if (node < 2n ** 53n) expect(encoded.header().node).toBe(Number(node));
        else expect(() => encoded.header()).toThrow(CodedError);
      }),
    );
  });

  it('reads names, ranges and lists of forgotten nodes', () => {
    expect(Buffer.from(request(1, Buffer.from('näme\0')).name()).toString()).toBe('näme');
    const read = Buffer.alloc(40);
    read.writeBigUInt64LE(5n * 2n ** 32n + 7n, 8);
    read.writeUInt32LE(4096, 16);
    expect(request(15, read).read()).toEqual({ offset: 5 * 2 ** 32 + 7, sizeBytes: 4096 });
    const forget = Buffer.alloc(40);
    forget.writeUInt32LE(2, 0);
    for (const [index, value] of [11n, 1n, 12n, 3n].entries()) forget.writeBigUInt64LE(value, 8 + index * 8);
    expect(request(42, forget).batchForget()).toEqual([
      { node: 11, count: 1 },
      { node: 12, count: 3 },
    ]);
  });

  it('refuses a list that promises more than is there', () => {
    const forget = Buffer.alloc(24);
    forget.writeUInt32LE(0xffff_ffff, 0);
    expect(() => request(42, forget).batchForget()).toThrow(CodedError);
  });

  it('refuses a name without an end, and a length that is not that of the bytes', () => {
    expect(() => request(1, Buffer.from('name')).name()).toThrow(CodedError);
    expect(() => new EncodedRequest(Buffer.alloc(48)).header()).toThrow(CodedError);
  });
});

function outcome(request: EncodedRequest, decode: (request: EncodedRequest) => unknown): unknown {
  try {
    return decode(request);
  } catch (error) {
    expect(error).toBeInstanceOf(CodedError);
    return (error as CodedError).code;
  }
}
