/** Reads: in the same turn where they can be, never short, never of more than their range, failing soon and known to all. */
import { describe, expect, test, vi } from 'vitest';
import type { NodeId } from '../../src/fs/file-system.ts';
import type { IpfsFileSystem } from '../../src/fs/ipfs-file-system.ts';
import type { ObservedRead } from '../../src/fs/read-observer.ts';
import { BlockMap } from '../support/block-map.ts';
import { DAG_CBOR, DagBuilder } from '../support/dag-builder.ts';
import { fileSystemOver, mountRoot } from '../support/mount-content.ts';
import { context, readBytes } from '../support/walk-file-system.ts';

function setUp(options: Parameters<typeof fileSystemOver>[1] = {}) {
  const blocks = new BlockMap();
  return { blocks, dag: new DagBuilder(blocks), fileSystem: fileSystemOver(blocks, options) };
}

async function fileIn(fileSystem: IpfsFileSystem, directory: NodeId, name: string) {
  return (await fileSystem.lookup(directory, Buffer.from(name), context)).attributes;
}

describe('what is on this machine', () => {
  test('is read in the same turn, without a copy and without the rest of its block', async () => {
    const { blocks, dag, fileSystem } = setUp();
    const leaves = ['0123456789', 'abcdefghij'].map((text) => Buffer.from(text));
    const file = dag.part(leaves.map((leaf) => dag.rawPart(leaf))).cid;
    const node = await mountRoot(fileSystem, file);
    const pieces = fileSystem.read(node, 4, 10, context);
    expect(pieces).toBeInstanceOf(Array);
    const [first, second] = pieces as Uint8Array[];
    expect(Buffer.concat(pieces as Uint8Array[]).toString()).toBe('456789abcd');
    expect(first?.buffer).toBe(leaves[0]?.buffer);
    expect(second?.byteOffset).toBe(leaves[1]?.byteOffset);
    expect(blocks.rangeReads.map(({ start, end }) => [start, end])).toEqual([
      [4, 10],
      [0, 4],
    ]);
    expect(fileSystem.read(node, 20, 5, context)).toEqual([]);
    expect(fileSystem.read(node, 2 ** 52, 5, context)).toEqual([]);
    expect(Buffer.concat(await fileSystem.read(node, 18, 100, context)).toString()).toBe('ij');
  });

  test.each(['now', 'later'])('what comes short, %s, is an error and never an end of the file', async (when) => {
    const { blocks, dag, fileSystem } = setUp();
    const node = await mountRoot(
      fileSystem,
      dag.part(['0123456789', 'abcdefghij'].map((text) => dag.rawPart(Buffer.from(text)))).cid,
    );
    // As bytes are that were given back too early.
    const short = new Uint8Array(0);
    blocks.getRange = () => (when === 'now' ? short : Promise.resolve(short));
    const read = async () => await fileSystem.read(node, 4, 10, context);
    await expect(read()).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  test('a non-UnixFS child is a file of its block’s bytes', async () => {
    const { dag, fileSystem } = setUp();
    const bytes = Buffer.from([0xa1, 0x61, 0x61, 0x01]);
    const node = await mountRoot(
      fileSystem,
      dag.directory([{ name: 'cbor', cid: dag.block(DAG_CBOR, bytes), tsize: 999 }]),
    );
    const { node: file, sizeBytes } = await fileIn(fileSystem, node, 'cbor');
    expect(sizeBytes).toBe(4);
    expect(await readBytes(fileSystem, file, 0, 100)).toEqual(bytes);
  });
});

describe('the size that a link claims of a raw block', () => {
  test.each([
    ['too long', 11],
    ['too short', 9],
  ])('%s: every read is DAG_INVALID, never cut off', async (_name, tsize) => {
    const { dag, fileSystem } = setUp();
    const node = await mountRoot(
      fileSystem,
      dag.directory([{ name: 'f', cid: dag.raw(Buffer.from('0123456789')), tsize }]),
    );
    const { node: file, sizeBytes } = await fileIn(fileSystem, node, 'f');
    expect(sizeBytes).toBe(tsize);
    expect(() => fileSystem.read(file, 0, 5, context)).toThrow(expect.objectContaining({ code: 'DAG_INVALID' }));
  });

  test('a lie in one volume does not stick to the honest one', async () => {
    const { dag, fileSystem } = setUp();
    const cid = dag.raw(Buffer.from('0123456789'));
    const liar = await mountRoot(fileSystem, dag.directory([{ name: 'f', cid, tsize: 5 }]), { name: 'liar' });
    const honest = await mountRoot(fileSystem, dag.directory([{ name: 'f', cid, tsize: 10 }]), { name: 'honest' });
    const [lie, truth] = [await fileIn(fileSystem, liar, 'f'), await fileIn(fileSystem, honest, 'f')];
    expect((await readBytes(fileSystem, truth.node, 0, 100)).toString()).toBe('0123456789');
    expect(() => fileSystem.read(lie.node, 0, 5, context)).toThrow(expect.objectContaining({ code: 'DAG_INVALID' }));
    fileSystem.forget(lie.node, 1);
    fileSystem.forget(truth.node, 1);
    expect(fileSystem.nodeCount).toBe(2);
  });

  test.each([
    ['absent', undefined],
    ['beyond what a block can hold', 2 ** 40],
  ])('%s: the block is asked', async (_name, tsize) => {
    const { dag, fileSystem } = setUp();
    const child = { name: 'f', cid: dag.raw(Buffer.from('0123456789')), tsize };
    const node = await mountRoot(fileSystem, dag.directory([child]));
    expect((await fileIn(fileSystem, node, 'f')).sizeBytes).toBe(10);
  });
});

describe('what fails', () => {
  const absentFile = (dag: DagBuilder) => {
    const absent = dag.rawPart(Buffer.from('absent!!!!'));
    return { absent: absent.cid, file: dag.part([absent, dag.rawPart(Buffer.from('0123456789'))]).cid };
  };

  test('waits for the longest time-out of the volumes that are mounted and hold it; each of them is told', async () => {
    const { blocks, dag, fileSystem } = setUp();
    const { absent, file } = absentFile(dag);
    const root = dag.directory([{ name: 'f', cid: file }]);
    for (const [name, timeoutMs] of [
      ['short', 10],
      ['long', 30],
      ['gone', 50],
      ['aside', 90],
    ] as const) {
      const node = await mountRoot(fileSystem, name === 'aside' ? dag.directory([]) : root, { name, timeoutMs });
      if (name !== 'aside') await fileIn(fileSystem, node, 'f');
    }
    const node = await fileIn(fileSystem, (await fileIn(fileSystem, 1, 'short')).node, 'f');
    fileSystem.removeVolume('gone');
    blocks.makeSilent(absent);
    const read = fileSystem.read(node.node, 0, 20, context);
    expect(blocks.waiting.map(({ options }) => options.timeoutMs)).toEqual([30]);
    blocks.expire();
    await expect(read).rejects.toMatchObject({ code: 'BLOCK_TIMEOUT' });
    for (const name of ['short', 'long']) {
      expect(fileSystem.volume(name)).toMatchObject({ counters: { reads: 1, errors: 1, bytesRead: 0 } });
      expect(fileSystem.volume(name)?.lastError).toMatch(/did not come/);
    }
    expect(fileSystem.volume('aside')).toMatchObject({ lastError: null, counters: { reads: 0, errors: 0 } });
  });

  test('is answered again at once for 100 ms, the part that failed alone, and asked for anew after', async () => {
    let now = 0;
    const offsets: number[] = [];
    const observers = [{ onRead: ({ offset }: ObservedRead) => offsets.push(offset) }];
    const { blocks, dag, fileSystem } = setUp({ now: () => now, observers });
    const { absent, file } = absentFile(dag);
    const node = await mountRoot(fileSystem, file);
    const held = blocks.blocks.get([...blocks.blocks.keys()][0] as never) as Uint8Array;
    blocks.remove(absent);
    await expect(fileSystem.read(node, 0, 20, context)).rejects.toMatchObject({ code: 'BLOCK_UNAVAILABLE' });
    expect(() => fileSystem.read(node, 5, 10, context)).toThrow(expect.objectContaining({ code: 'BLOCK_UNAVAILABLE' }));
    expect((await readBytes(fileSystem, node, 10, 10)).toString()).toBe('0123456789');
    expect(blocks.fetched.length).toBe(1);
    // The second try is the kernel's own: whoever reads ahead for readers does not hear of it.
    expect(offsets).toEqual([0, 10]);
    blocks.put(absent, held);
    now = 100;
    expect((await readBytes(fileSystem, node, 0, 10)).toString()).toBe('absent!!!!');
  });

  test('what lies beside the part that failed has a short grace, also for who asks without a pause, and its time again soon', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      let now = 0;
      const { blocks, dag, fileSystem } = setUp({ now: () => now });
      const [absent, silent] = ['absent!!!!', '0123456789'].map((text) => dag.rawPart(Buffer.from(text)));
      if (!absent || !silent) throw new Error('two parts were made');
      const node = await mountRoot(fileSystem, dag.part([absent, silent]).cid);
      blocks.remove(absent.cid);
      blocks.makeSilent(silent.cid);
      const failed = await Promise.resolve(fileSystem.read(node, 0, 20, context)).catch((error: unknown) => error);
      expect(failed).toMatchObject({ code: 'BLOCK_UNAVAILABLE' });
      const left = blocks.waiting.length;
      for (; now < 100; now += 10) {
        const again = Promise.resolve(fileSystem.read(node, 10, 10, context)).catch((error: unknown) => error);
        await vi.advanceTimersByTimeAsync(100);
        expect(await again).toBe(failed);
        expect(blocks.waiting.length).toBe(left);
      }
      expect(fileSystem.volume('v')?.counters.errors).toBe(1);
      const anew = fileSystem.read(node, 10, 10, context);
      await vi.advanceTimersByTimeAsync(1000);
      expect(blocks.waiting.length).toBe(left + 1);
      blocks.expire();
      await expect(anew).rejects.toMatchObject({ code: 'BLOCK_TIMEOUT' });
    } finally {
      vi.useRealTimers();
    }
  });

  test('all that fails at one time is remembered, and not the last of it alone', async () => {
    let now = 0;
    const { blocks, dag, fileSystem } = setUp({ now: () => now });
    const parts = Array.from({ length: 20 }, (_, at) => dag.rawPart(Buffer.from(`part ${at}`.padEnd(10))));
    const node = await mountRoot(fileSystem, dag.part(parts).cid);
    for (const { cid } of parts) blocks.makeSilent(cid);
    const reads = parts.map((_, at) => (async () => fileSystem.read(node, at * 10, 10, context))());
    now = 1000;
    blocks.expire();
    for (const read of reads) await expect(read).rejects.toMatchObject({ code: 'BLOCK_TIMEOUT' });
    for (let at = 0; at < 20; at++) {
      expect(() => fileSystem.read(node, at * 10, 1, context)).toThrow(
        expect.objectContaining({ code: 'BLOCK_TIMEOUT' }),
      );
    }
    expect(blocks.waiting.length).toBe(0);
  });

  test('a reader that is killed drops its want and leaves no failure behind', async () => {
    const { blocks, dag, fileSystem } = setUp();
    const { absent, file } = absentFile(dag);
    const node = await mountRoot(fileSystem, file);
    blocks.makeSilent(absent);
    const controller = new AbortController();
    const read = fileSystem.read(node, 0, 20, { signal: controller.signal });
    controller.abort();
    await expect(read).rejects.toMatchObject({ code: 'ABORTED' });
    expect(blocks.waiting.length).toBe(0);
    expect(fileSystem.volume('v')?.lastError).toBe(null);
    const again = fileSystem.read(node, 0, 20, context);
    expect(again).toBeInstanceOf(Promise);
    blocks.expire();
    await expect(again).rejects.toMatchObject({ code: 'BLOCK_TIMEOUT' });
  });

  test('the signal of a read that need not wait is never made', async () => {
    const { dag, fileSystem } = setUp();
    const root = dag.directory([{ name: 'f', cid: dag.part([dag.rawPart(Buffer.from('x'))]).cid }]);
    const node = await mountRoot(fileSystem, root);
    const lazy = {
      get signal(): AbortSignal {
        throw new Error('armed');
      },
    };
    const entry = await fileSystem.lookup(node, Buffer.from('f'), lazy);
    expect(await fileSystem.read(entry.attributes.node, 0, 1, lazy)).toHaveLength(1);
    expect(fileSystem.list(node, 0, true, () => true, lazy)).toBe(undefined);
  });
});

test('an observer sees each read: who holds the file, what, and where', async () => {
  const reads: ObservedRead[] = [];
  const { dag, fileSystem } = setUp({ observers: [{ onRead: (read) => reads.push(read) }] });
  const root = dag.part([dag.rawPart(Buffer.from('0123456789')), dag.rawPart(Buffer.from('abcdefghij'))]).cid;
  const node = await mountRoot(fileSystem, root);
  await readBytes(fileSystem, node, 15, 100);
  expect(reads).toHaveLength(1);
  expect(reads[0]).toMatchObject({ node, offset: 15, length: 5, volumes: [{ spec: { name: 'v' } }] });
  const ahead = await reads[0]?.file.locate(0, 10, { priority: 'readahead' });
  expect(ahead).toMatchObject([{ offset: 0, length: 10, offsetInBlock: 0 }]);
  expect(fileSystem.volume('v')?.counters).toEqual({ reads: 1, bytesRead: 5, errors: 0 });
});
