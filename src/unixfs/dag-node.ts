/**
 * A dag-pb block, decoded in place (ipld.io/specs/codecs/dag-pb/spec): its links as a table, its data as a range.
 *
 * It takes and refuses the same bytes as @ipld/dag-pb, which the tests hold it against. It exists because that codec makes
 * an object, a CID and a text of each link: eight times the time and ten times the memory for a large directory, and
 * names that are no UTF-8, or begin with a byte order mark, come out changed.
 */
import { CodedError } from '../base/errors.ts';
import { isCid } from './content-key.ts';
import type { LinkTable } from './link-table.ts';
import { LinkTableBuilder } from './link-table-builder.ts';
import { ProtobufReader, WIRE_BYTES, WIRE_VARINT } from './protobuf-reader.ts';

export interface DagNode {
  readonly links: LinkTable;
  /** Where the Data field stands in the block; both 0 where there is none. */
  readonly dataStart: number;
  readonly dataEnd: number;
}

/** Most links hold a CIDv1 of sha2-256 (36 bytes) and little else; only the first guess of the table's size. */
const USUAL_LINK_BYTES = 48;

/** @throws DAG_INVALID. The links keep `bytes`. */
export function decodeDagNode(bytes: Uint8Array): DagNode {
  const reader = new ProtobufReader(bytes, 0, bytes.length);
  const links = new LinkTableBuilder(Math.ceil(bytes.length / USUAL_LINK_BYTES), bytes);
  let dataStart = 0;
  let dataEnd = 0;
  let hasData = false;
  let linksEnded = false;
  while (reader.more) {
    const tag = reader.tag();
    if (tag === ((2 << 3) | WIRE_BYTES)) {
      if (linksEnded) throw invalid('links before and behind the data');
      const start = reader.bytesField();
      decodeLink(bytes, start, reader.position, links);
    } else if (tag === ((1 << 3) | WIRE_BYTES)) {
      if (hasData) throw invalid('two data fields');
      hasData = true;
      linksEnded = links.count > 0;
      dataStart = reader.bytesField();
      dataEnd = reader.position;
    } else {
      throw invalid(`an unknown field (tag ${tag})`);
    }
  }
  return { links: links.build(), dataStart, dataEnd };
}

/** PBLink: Hash, Name and Tsize, in this order; only Hash must be there. */
function decodeLink(bytes: Uint8Array, start: number, end: number, links: LinkTableBuilder): void {
  const reader = new ProtobufReader(bytes, start, end);
  let cidStart = -1;
  let cidEnd = 0;
  let nameStart = 0;
  let nameEnd = 0;
  let size = Number.NaN;
  let last = 0;
  while (reader.more) {
    const tag = reader.tag();
    const field = tag >>> 3;
    if (field <= last) throw invalid('the fields of a link are out of order, or there twice');
    last = field;
    if (tag === ((1 << 3) | WIRE_BYTES)) {
      cidStart = reader.bytesField();
      cidEnd = reader.position;
    } else if (tag === ((2 << 3) | WIRE_BYTES)) {
      nameStart = reader.bytesField();
      nameEnd = reader.position;
    } else if (tag === ((3 << 3) | WIRE_VARINT)) {
      size = reader.varint();
    } else {
      throw invalid(`an unknown field in a link (tag ${tag})`);
    }
  }
  if (cidStart < 0 || !isCid(bytes, cidStart, cidEnd)) throw invalid('a link without a CID');
  links.add(cidStart, cidEnd, nameStart, nameEnd, size);
}

function invalid(what: string): CodedError {
  return new CodedError('DAG_INVALID', `not a dag-pb block: ${what}`);
}
