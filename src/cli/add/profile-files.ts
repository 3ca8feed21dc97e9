/**
 * The files by which a boot profile goes along with its content: the profile itself, and one whose leaves are its small
 * blocks, in groups of its inner nodes. A gateway sends all below such a node in one answer, where each block would be a
 * request of its own: of the thousand and more that a program's start needs, that is most of the time.
 *
 * A leaf is linked to as raw, whatever the block is elsewhere: a CID names the same bytes by any codec, every store keeps them
 * once, and nothing below them is part of this file.
 */
import { CID } from 'multiformats/cid';
import type { BlockGroup, BootProfile } from '../../prefetch/boot-profile.ts';
import { PROFILE_ENTRY, START_ENTRY, shippedText } from '../../prefetch/shipped-profile.ts';
import { blockKeyOf, CODEC_RAW, type ContentKey, cidOf, contentKey, isInline } from '../../unixfs/content-key.ts';
import type { SizesOf } from './add-tree.ts';
import type { DagLink, Emit } from './dag-node.ts';
import { chunksOf, emitFile, emitFileOver, type FilePart } from './file-dag.ts';

/** What is larger is worth a request of its own. */
const MAX_GROUPED_BLOCK_BYTES = 256 * 1024;
/**
 * Enough that a request's cost is little beside it, and little enough that a reader does not wait long behind one. Groups are
 * asked for together and share the link: the first are small, so that what is needed first is there first.
 */
const FIRST_GROUP_BYTES = 128 * 1024;
const MAX_GROUP_BYTES = 1024 * 1024;

/** Their links in the root directory; `sizesOf` knows the blocks of the tree. */
export async function emitProfileFiles(profile: BootProfile, sizesOf: SizesOf, emit: Emit): Promise<DagLink[]> {
  const sizes = sizesOf([...profile.blocks.keys()].map(blockKeyOf));
  const sizeOf = (key: ContentKey) => sizes.get(blockKeyOf(key));
  const blocks = new Map<ContentKey, number>();
  for (const [key, sizeBytes] of profile.blocks) blocks.set(key, sizeOf(key) ?? sizeBytes);
  const links: DagLink[] = [];
  const groups: BlockGroup[] = [];
  const parts: FilePart[] = [];
  for (const keys of grouped([...blocks.keys()], sizeOf)) {
    const part = await emitFileOver(
      keys.map((key) => leaf(key, blocks.get(key) ?? 0)),
      emit,
    );
    parts.push(part);
    groups.push({ key: contentKey(part.cid), blocks: keys });
  }
  if (parts.length > 0) links.push({ ...(await emitFileOver(parts, emit)), name: START_ENTRY });
  const text = Buffer.from(shippedText({ ...profile, blocks, groups }));
  return [...links, { ...(await emitFile(chunksOf(text), undefined, emit)), name: PROFILE_ENTRY }];
}

/** Runs of small blocks that follow each other but for large ones between them; none of one block. */
function grouped(keys: readonly ContentKey[], sizeOf: (key: ContentKey) => number | undefined): ContentKey[][] {
  const groups: ContentKey[][] = [[]];
  const met = new Set<string>();
  let groupBytes = 0;
  let boundBytes = FIRST_GROUP_BYTES;
  for (const key of keys) {
    const sizeBytes = isInline(key) ? 0 : (sizeOf(key) ?? 0);
    // A directory and the same block as a file of its bytes are two entries, and one block.
    if (sizeBytes === 0 || sizeBytes > MAX_GROUPED_BLOCK_BYTES || met.has(blockKeyOf(key))) continue;
    met.add(blockKeyOf(key));
    groups.at(-1)?.push(key);
    groupBytes += sizeBytes;
    if (groupBytes < boundBytes) continue;
    groups.push([]);
    groupBytes = 0;
    boundBytes = Math.min(2 * boundBytes, MAX_GROUP_BYTES);
  }
  return groups.filter((group) => group.length > 1);
}

function leaf(key: ContentKey, sizeBytes: number): FilePart {
  const cid = CID.createV1(CODEC_RAW, cidOf(key).multihash);
  return { cid, totalBytes: sizeBytes, name: '', fileBytes: sizeBytes };
}
