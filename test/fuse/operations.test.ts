import { describe, expect, it } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import type { AnswerWriter } from '../../src/fuse/kernel/answer-writer.ts';
import { EncodedRequest } from '../../src/fuse/kernel/decode-request.ts';
import { claim, HANDLERS } from '../../src/fuse/kernel/operations.ts';
import { PendingRequest } from '../../src/fuse/kernel/pending-request.ts';
import { MemoryFileSystem } from '../support/memory-file-system.ts';

const LOOKUP = 1;
const READDIRPLUS = 44;

/** Runs one request over `fileSystem`; `delivered` is what the kernel says of the answer. */
function handle(fileSystem: FileSystem, opcode: number, node: number, body: Uint8Array, { delivered = true } = {}) {
  const bytes = Buffer.alloc(40 + body.length);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt32LE(opcode, 4);
  bytes.writeBigUInt64LE(BigInt(node), 16);
  bytes.set(body, 40);
  const encoded = new EncodedRequest(bytes);
  const header = encoded.header();
  const request = new PendingRequest(header);
  const deliver = (): boolean => delivered;
  const answers = { structure: deliver, bytes: deliver, errno: deliver } as unknown as AnswerWriter;
  const collaborators = { fileSystem, answers };
  return { request, work: () => HANDLERS[header.operation]?.(collaborators, request, encoded) };
}

function directoryRead(): Uint8Array {
  const body = Buffer.alloc(40);
  body.writeUInt32LE(4096, 16);
  return body;
}

describe('look-ups that nobody took', () => {
  it('are counted where the answer arrives', async () => {
    const fileSystem = new MemoryFileSystem({ a: 'x', b: 'x' });
    await handle(fileSystem, LOOKUP, 1, Buffer.from('a\0')).work();
    expect(fileSystem.lookups).toBe(1);
    await handle(fileSystem, READDIRPLUS, 1, directoryRead()).work();
    expect(fileSystem.lookups).toBe(3);
  });

  it('are taken back where the kernel has no such request any longer', async () => {
    const fileSystem = new MemoryFileSystem({ a: 'x', b: 'x' });
    await handle(fileSystem, LOOKUP, 1, Buffer.from('a\0'), { delivered: false }).work();
    await handle(fileSystem, READDIRPLUS, 1, directoryRead(), { delivered: false }).work();
    expect(fileSystem.lookups).toBe(0);
  });

  it('are taken back where the request was answered EINTR before', async () => {
    const fileSystem = new MemoryFileSystem({ a: { $absent: true } });
    const { request, work } = handle(fileSystem, LOOKUP, 1, Buffer.from('a\0'));
    const working = work();
    expect(claim(request)).toBe(true);
    fileSystem.arrive();
    await working;
    expect(fileSystem.lookups).toBe(0);
  });

  it('are taken back where a listing fails half-way', () => {
    const whole = new MemoryFileSystem({ a: 'x', b: 'x' });
    const broken: FileSystem = Object.create(whole, {
      list: {
        value: (...args: Parameters<FileSystem['list']>) => {
          whole.list(...args);
          throw new CodedError('DAG_INVALID', 'the rest is damaged');
        },
      },
      forget: { value: (node: number, count: number) => whole.forget(node, count) },
      attributes: { value: (node: number) => whole.attributes(node) },
    });
    expect(handle(broken, READDIRPLUS, 1, directoryRead()).work).toThrow('damaged');
    expect(whole.lookups).toBe(0);
  });
});
