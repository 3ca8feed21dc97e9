import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRingMemory, RingReader, RingWriter } from '../../src/fuse/kernel/request-ring.ts';

/** Enough to go round the ring several times. */
const REQUESTS = 20_000;

/** Length and content of the n-th request. */
function sample(index: number): [length: number, byte: number] {
  return [40 + ((index * 7919) % 700), index & 0xff];
}

describe('the ring of requests', () => {
  it('gives out what was put in, in order, for any sizes and any pace', () => {
    const sizes = fc.array(fc.integer({ min: 40, max: 8192 }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 100 }), (sizes, burst) => {
        const memory = createRingMemory();
        const writer = new RingWriter(memory);
        const reader = new RingReader(memory);
        const written: string[] = [];
        const read: string[] = [];
        const take = (): void => {
          for (let bytes = reader.peek(); bytes; bytes = reader.peek()) {
            read.push(`${bytes.length}:${bytes[0]}:${bytes.at(-1)}`);
            reader.release();
          }
        };
        for (const [index, size] of sizes.entries()) {
          writer.reserve().fill(index & 0xff, 0, size);
          writer.commit(size);
          written.push(`${size}:${index & 0xff}:${index & 0xff}`);
          if (index % burst === 0) take();
        }
        take();
        expect(read).toEqual(written);
      }),
      { numRuns: 50 },
    );
  });

  it('carries requests between threads, waking each other, through a full ring', async () => {
    const memory = createRingMemory();
    const reader = new RingReader(memory);
    const source = `
      const { workerData } = require('node:worker_threads');
      import(workerData.module).then(({ RingWriter }) => {
        const writer = new RingWriter(workerData.memory);
        for (let index = 0; index < ${REQUESTS}; index++) {
          const length = 40 + ((index * 7919) % 700);
          writer.reserve().fill(index & 0xff, 0, length);
          writer.commit(length);
        }
      });`;
    const module = new URL('../../src/fuse/kernel/request-ring.ts', import.meta.url).href;
    const worker = new Worker(source, { eval: true, workerData: { memory, module }, execArgv: [] });
    const ended = once(worker, 'exit');
    let index = 0;
    await new Promise<void>((resolve, reject) => {
      const take = (): void => {
        for (let bytes = reader.peek(); bytes; bytes = reader.peek(), index++) {
          const [length, byte] = sample(index);
          if (bytes.length !== length || bytes[0] !== byte || bytes.at(-1) !== byte) {
            reject(new Error(`request ${index} is damaged`));
            return;
          }
          reader.release();
        }
        if (index === REQUESTS) resolve();
        else reader.whenMore(take);
      };
      take();
    });
    await ended;
    expect(reader.peek()).toBeUndefined();
  });
});
