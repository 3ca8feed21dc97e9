/**
 * A file system over the real block service at the end of a modelled link, and what a reader of it sees by the clock of
 * the model. Nothing is measured of this machine.
 */
import type { CID } from 'multiformats/cid';
import { BlockService } from '../../src/blocks/block-service.ts';
import { MemoryCache } from '../../src/cache/memory-cache.ts';
import { Readahead } from '../../src/fs/ahead/readahead.ts';
import type { NodeId } from '../../src/fs/file-system.ts';
import { IpfsFileSystem } from '../../src/fs/ipfs-file-system.ts';
import { UnixfsReader } from '../../src/unixfs/unixfs-reader.ts';
import type { BlockMap } from './block-map.ts';
import { FakeClock } from './fake-clock.ts';
import { LinkSource } from './link-source.ts';
import { volumeSpec } from './mount-content.ts';
import { context } from './walk-file-system.ts';

export interface Link {
  readonly roundTripMs: number;
  readonly bytesPerMs: number;
}

/** 1 Gbit/s at 50 ms: 6.25 MB under way fill it. */
export const FAST_FAR: Link = { roundTripMs: 50, bytesPerMs: 125_000 };

export class LinkFileSystem {
  readonly clock = new FakeClock();
  readonly source: LinkSource;
  readonly fileSystem: IpfsFileSystem;
  readonly blocks: BlockService;

  constructor(content: BlockMap, { roundTripMs, bytesPerMs }: Link) {
    const blocks = [...content.named()];
    this.source = new LinkSource(this.clock, blocks, roundTripMs, bytesPerMs);
    this.blocks = new BlockService({
      memory: new MemoryCache(1024 ** 3),
      stores: [],
      sinks: [],
      sources: [this.source],
      timeoutMs: 60_000,
      clock: this.clock,
      random: () => 0.5,
    });
    const now = () => this.clock.nowMs();
    this.fileSystem = new IpfsFileSystem(new UnixfsReader(this.blocks), {
      now,
      observers: [new Readahead(this.blocks, { now })],
    });
  }

  /** Adds a volume and looks its root up, over the link. */
  async mount(root: CID): Promise<NodeId> {
    const spec = volumeSpec(root, { timeoutMs: 60_000 });
    this.fileSystem.addVolume(spec);
    const looked = this.fileSystem.lookup(1, Buffer.from(spec.name), context);
    return (await this.elapse(Promise.resolve(looked))).attributes.node;
  }

  /** How long a read waits, in the model's milliseconds. */
  async read(node: NodeId, offset: number, length: number): Promise<number> {
    const sinceMs = this.clock.nowMs();
    await this.fileSystem.read(node, offset, length, context);
    return this.clock.nowMs() - sinceMs;
  }

  /** Lets the model's time run until `work` is done, and no further. */
  async elapse<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const settled = work.finally(() => {
      done = true;
    });
    settled.catch(() => {});
    for (let ms = 0; !done; ms++) {
      if (ms > 3_600_000) throw new Error('an hour passed in the model, and it is not done');
      await this.clock.advance(1);
    }
    return settled;
  }
}
