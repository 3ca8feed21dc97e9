import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ListedEntry } from '../../src/fs/file-system.ts';
import { DirectoryPacker } from '../../src/fuse/kernel/directory-packer.ts';

interface Unpacked {
  name: string;
  inode: number;
  next: number;
  type: number;
  /** nodeid of the entry, with attributes. */
  entryNode: number | undefined;
}

/** Reads struct fuse_dirent and fuse_direntplus as the kernel does. */
function unpack(bytes: Uint8Array, withAttributes: boolean): Unpacked[] {
  const buffer = Buffer.from(bytes);
  const entries: Unpacked[] = [];
  for (let at = 0; at < buffer.length; ) {
    const base = at + (withAttributes ? 128 : 0);
    const nameLength = buffer.readUInt32LE(base + 16);
    entries.push({
      name: buffer.toString('utf8', base + 24, base + 24 + nameLength),
      inode: Number(buffer.readBigUInt64LE(base)),
      next: Number(buffer.readBigUInt64LE(base + 8)),
      type: buffer.readUInt32LE(base + 20),
      entryNode: withAttributes ? Number(buffer.readBigUInt64LE(at)) : undefined,
    });
    at = base + 24 + ((nameLength + 7) & ~7);
  }
  return entries;
}

function listed(name: string, index: number, known: boolean): ListedEntry {
  const attributes = {
    node: index + 10,
    inode: index + 10,
    kind: 'file',
    mode: 0o444,
    sizeBytes: 1,
    mtimeSeconds: -1,
    mtimeNanoseconds: 0,
    uid: 0,
    gid: 0,
    changeable: false,
  } as const;
  return {
    name: Buffer.from(name),
    kind: known ? 'file' : undefined,
    node: known ? index + 10 : 0,
    inode: known ? index + 10 : 0,
    entry: known ? { attributes, changeable: false } : undefined,
    nextCursor: index + 1,
  };
}

/** Lists all of `names` as the kernel does: again and again from where the last answer ended. */
function listAll(names: readonly string[], sizeBytes: number, withAttributes: boolean): Unpacked[] {
  const all: Unpacked[] = [];
  for (let offset = 0; ; offset = all.at(-1)?.next ?? 0) {
    const packer = new DirectoryPacker(1, offset, Buffer.alloc(sizeBytes, 0xee), withAttributes);
    for (const [index, name] of names.entries()) {
      if (index >= packer.cursor && !packer.fill(listed(name, index, index % 3 !== 0))) break;
    }
    const part = unpack(packer.bytes(), withAttributes);
    expect(packer.lookedUp).toEqual(part.flatMap(({ entryNode }) => (entryNode ? [entryNode] : [])));
    if (part.length === 0) return all;
    all.push(...part);
  }
}

describe.each([false, true])('packing a directory, with attributes: %s', (withAttributes) => {
  it('gives every entry once and in order, whatever fits into one answer', () => {
    const names = fc.array(fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }), { maxLength: 40 });
    fc.assert(
      fc.property(names, fc.integer({ min: 1200, max: 5000 }), (names, sizeBytes) => {
        const all = listAll(names, sizeBytes, withAttributes);
        expect(all.map(({ name }) => name)).toEqual(['.', '..', ...names]);
        expect(all.map(({ next }) => next)).toEqual(all.map((_, index) => index + 1));
      }),
    );
  });

  it('shows what could not be had with an unknown type and a d_ino that readdir does not skip', () => {
    const [, , unknown, known] = listAll(['absent', 'here'], 4096, withAttributes);
    expect(unknown).toMatchObject({ type: 0, inode: 0xffff_ffff });
    expect(known).toMatchObject({ type: 8, inode: 11 });
    if (withAttributes) expect([unknown?.entryNode, known?.entryNode]).toEqual([0, 11]);
  });
});
