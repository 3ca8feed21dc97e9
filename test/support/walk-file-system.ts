/**
 * Reads a FileSystem as a program would: by look-ups, listings and reads, into a plain tree.
 */
import type { Attributes, FileSystem, ListedEntry, NodeId, RequestContext } from '../../src/fs/file-system.ts';

export const context: RequestContext = { signal: new AbortController().signal };

export type Listed = Omit<ListedEntry, 'name'> & { readonly name: string };

export type Tree =
  | { readonly kind: 'file'; readonly bytes: string; readonly attributes: Attributes }
  | { readonly kind: 'symlink'; readonly target: string; readonly attributes: Attributes }
  | { readonly kind: 'directory'; readonly entries: Readonly<Record<string, Tree>>; readonly attributes: Attributes };

/** All entries, `perCall` of them a call; names as one character a byte. */
export async function listAll(
  fileSystem: FileSystem,
  node: NodeId,
  withAttributes: boolean,
  perCall = 7,
): Promise<Listed[]> {
  const entries: Listed[] = [];
  let cursor = 0;
  for (;;) {
    let taken = 0;
    await fileSystem.list(
      node,
      cursor,
      withAttributes,
      (entry) => {
        if (taken === perCall) return false;
        taken++;
        cursor = entry.nextCursor;
        entries.push({ ...entry, name: Buffer.from(entry.name).toString('latin1') });
        return true;
      },
      context,
    );
    if (taken < perCall) return entries;
  }
}

export async function readBytes(fileSystem: FileSystem, node: NodeId, offset: number, length: number): Promise<Buffer> {
  return Buffer.concat(await fileSystem.read(node, offset, length, context));
}

/** Byte strings are latin1, so that trees compare with toEqual. */
export async function walk(fileSystem: FileSystem, node: NodeId): Promise<Tree> {
  const attributes = await fileSystem.attributes(node, context);
  if (attributes.kind === 'file') {
    const bytes = await readBytes(fileSystem, node, 0, attributes.sizeBytes);
    return { kind: 'file', bytes: bytes.toString('latin1'), attributes };
  }
  if (attributes.kind === 'symlink') {
    const target = Buffer.from(await fileSystem.readLink(node, context)).toString('latin1');
    return { kind: 'symlink', target, attributes };
  }
  const entries: Record<string, Tree> = {};
  for (const { name } of await listAll(fileSystem, node, true)) {
    const entry = await fileSystem.lookup(node, Buffer.from(name, 'latin1'), context);
    if (name in entries) throw new Error(`"${name}" is listed twice`);
    Object.defineProperty(entries, name, { value: await walk(fileSystem, entry.attributes.node), enumerable: true });
  }
  return { kind: 'directory', entries, attributes };
}
