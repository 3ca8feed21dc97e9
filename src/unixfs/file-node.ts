/**
 * One node of a file's DAG, decoded: which bytes stand in its own block, which in its children.
 *
 * A node's own data comes first, then its children in the order of the links; a leaf has data alone, a usual inner node
 * links alone. What contradicts itself is remembered as a `defect` instead of thrown, because the file still has a name
 * and a size to show: reading it is what fails.
 */
import { CodedError } from '../base/errors.ts';
import type { LinkTable } from './link-table.ts';
import type { UnixfsData } from './unixfs-data.ts';

export interface FileNode {
  /** Of all the node stands for: a safe integer. */
  readonly sizeBytes: number;
  /** Where the node's own data stands in its block. */
  readonly dataStart: number;
  readonly dataLength: number;
  /** Undefined for leaves, which then keep nothing of their block. */
  readonly children: FileChildren | undefined;
  readonly defect: string | undefined;
}

export interface FileChildren {
  readonly links: LinkTable;
  /** Where each child ends, counted from the start of the node: ascending. */
  readonly ends: Float64Array;
}

/** The file that is one raw block, or one opaque object, of that many bytes. */
export function plainFileNode(sizeBytes: number): FileNode {
  return { sizeBytes, dataStart: 0, dataLength: sizeBytes, children: undefined, defect: undefined };
}

/** @throws DAG_INVALID for a size that is no safe integer: there is no honest `st_size` for it. */
export function decodeFileNode(data: UnixfsData, links: LinkTable): FileNode {
  const dataLength = data.dataEnd - data.dataStart;
  const ends = new Float64Array(links.count);
  let end = dataLength;
  for (let link = 0; link < links.count; link++) {
    end += data.blockSizes[link] ?? 0;
    ends[link] = end;
  }
  const sizeBytes = data.fileSize ?? end;
  if (!Number.isSafeInteger(end) || !Number.isSafeInteger(sizeBytes)) {
    throw new CodedError('DAG_INVALID', 'not a UnixFS file: it claims more than 2^53 bytes');
  }
  let defect: string | undefined;
  if (data.blockSizes.length !== links.count) {
    defect = `${links.count} links with ${data.blockSizes.length} block sizes`;
  } else if (sizeBytes !== end) {
    defect = `blocks of ${end} bytes in all where the file claims ${sizeBytes}`;
  }
  const children = links.count > 0 ? { links, ends } : undefined;
  return { sizeBytes, dataStart: data.dataStart, dataLength, children, defect };
}

/** The first child that reaches beyond `offset` (counted from the start of the node). */
export function childAt(children: FileChildren, offset: number): number {
  let low = 0;
  let high = children.ends.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((children.ends[middle] as number) <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
