/** DAGs made to cost whoever reads them all memory and time there is. Each is a few blocks. */
import type { CID } from 'multiformats/cid';
import { cidOfBytes, DAG_PB, type DagBuilder, identityCid, RAW, slotPrefix, TYPE } from '../../support/dag-builder.ts';

export type MakeDag = (dag: DagBuilder) => CID;

const MIB = 1024 ** 2;

/** A file that links to one node below many times over: what it claims grows by a factor a level. */
function fanOut(dag: DagBuilder, levels: number, links: number): CID {
  let part = dag.rawPart(Buffer.alloc(16));
  for (let level = 0; level < levels; level++) part = dag.part(Array(links).fill(part));
  return part.cid;
}

/** The smallest links there are: an identity CID of nothing, eight bytes each. */
const NOTHING = identityCid(RAW, new Uint8Array(0));

export const HOSTILE: Readonly<Record<string, MakeDag>> = {
  'a file that claims 2^63 bytes': (dag) =>
    dag.node({ type: TYPE.file, fileSize: 2n ** 63n, blockSizes: [2n ** 63n] }, [{ cid: dag.raw(Buffer.alloc(9)) }]),
  'a file of 2^53 - 1 bytes in one block of nine': (dag) =>
    dag.node({ type: TYPE.file, fileSize: 2 ** 53 - 1, blockSizes: [2 ** 53 - 1] }, [
      { cid: dag.raw(Buffer.alloc(9)) },
    ]),
  'a file whose sizes lie': (dag) =>
    dag.node(
      { type: TYPE.file, fileSize: 30, blockSizes: [10, 10, 10] },
      [9, 10, 11].map((size) => ({ cid: dag.raw(Buffer.alloc(size)) })),
    ),
  'a file that fans out to 2^44 bytes through shared links': (dag) => fanOut(dag, 40, 2),
  'a file that fans out by a thousand a level': (dag) => fanOut(dag, 4, 1000),
  'a chain of 20,000 levels': (dag) => {
    let part = dag.rawPart(Buffer.alloc(100));
    for (let level = 0; level < 20_000; level++) part = dag.part([part]);
    return part.cid;
  },
  'a file of a quarter of a million empty blocks': (dag) =>
    dag.node(
      { type: TYPE.file, fileSize: 0, blockSizes: Array(180_000).fill(0) },
      Array(180_000).fill({ cid: NOTHING }),
    ),
  'a file of blocks of one byte': (dag) =>
    dag.node(
      { type: TYPE.file, fileSize: 150_000, blockSizes: Array(150_000).fill(1) },
      Array(150_000).fill({ cid: identityCid(RAW, Buffer.from('x')) }),
    ),
  'a directory of a quarter of a million equal names': (dag) =>
    dag.directory(Array(170_000).fill({ cid: NOTHING, name: 'x' })),
  'a directory of names that cannot be': (dag) =>
    dag.directory(
      ['/', '..', '.', '', 'a/b', 'a\0b', '../../etc/passwd', 'x'.repeat(256), 'x'.repeat(2 ** 20)].map((name) => ({
        cid: NOTHING,
        name,
      })),
    ),
  'a directory that contains itself by a wrong hash': (dag) =>
    dag.directory([{ cid: cidOfBytes(DAG_PB, Buffer.from('elsewhere')), name: 'self' }]),
  'a directory in a directory, 20,000 times': (dag) => {
    let cid = dag.directory([]);
    for (let level = 0; level < 20_000; level++) cid = dag.directory([{ cid, name: 'd' }]);
    return cid;
  },
  'shards that link to each other and pose as billions': (dag) => {
    let cid = dag.shard([0], [{ cid: NOTHING, name: `${slotPrefix(0, 256)}a` }], 256);
    for (let level = 0; level < 7; level++) {
      const slots = Array.from({ length: 256 }, (_, slot) => slot);
      cid = dag.shard(
        slots,
        slots.map((slot) => ({ cid, name: slotPrefix(slot, 256) })),
        256,
      );
    }
    return cid;
  },
  'a shard of the wrong hash function': (dag) => dag.shard([], [], 256, { hashType: 0x12 }),
  'a shard of a fan-out of 2^31': (dag) =>
    dag.node({ type: TYPE.shard, hashType: 0x22, fanout: 2 ** 31, data: Buffer.from([1]) }, [
      { cid: NOTHING, name: '00' },
    ]),
  'a shard of a bit field of a megabyte': (dag) =>
    dag.node({ type: TYPE.shard, hashType: 0x22, fanout: 256, data: Buffer.alloc(MIB, 0xff) }, []),
  'a shard whose entries stand in the wrong slots': (dag) =>
    dag.shard(
      [1, 2],
      [1, 2].map((slot) => ({ cid: NOTHING, name: `${slotPrefix(slot, 256)}name ${slot}` })),
      256,
    ),
  'a symlink of a megabyte': (dag) => dag.directory([{ cid: dag.symlink('/'.repeat(MIB)), name: 'link' }]),
  'an empty symlink': (dag) => dag.directory([{ cid: dag.symlink(''), name: 'link' }]),
  'a directory inside a file': (dag) =>
    dag.node({ type: TYPE.file, fileSize: 4, blockSizes: [4] }, [{ cid: dag.directory([]) }]),
};
