/**
 * Nodes as their attributes: nothing here is read or waited for.
 */
import { type Attributes, type Entry, ROOT_NODE } from './file-system.ts';
import { isDirectory, type Node } from './node.ts';
import type { NodeTable } from './node-table.ts';

/** The root directory's: it belongs to whoever mounts, and its names come and go. */
export const ROOT_ATTRIBUTES: Attributes = {
  node: ROOT_NODE,
  inode: ROOT_NODE,
  kind: 'directory',
  mode: 0o555,
  sizeBytes: 0,
  mtimeSeconds: 0,
  mtimeNanoseconds: 0,
  uid: 0,
  gid: 0,
  changeable: true,
};

export function attributesOf(nodes: NodeTable, node: Node): Attributes {
  const { kind, mode, mtimeSeconds, mtimeNanoseconds, owner } = node.appearance;
  return {
    node: node.id,
    inode: nodes.inode(node),
    kind,
    mode,
    sizeBytes: isDirectory(node) ? 0 : node.sizeBytes,
    mtimeSeconds,
    mtimeNanoseconds,
    uid: owner.uid,
    gid: owner.gid,
    changeable: false,
  };
}

/** `changeable` for names in the root directory: the name may go, what it names does not change. */
export function entryOf(nodes: NodeTable, node: Node, changeable: boolean): Entry {
  return { attributes: attributesOf(nodes, node), changeable };
}
