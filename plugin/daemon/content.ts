/**
 * Puts together everything that has content and shows it as a file system: stores on this machine, sources, the want
 * queue, UnixFS, the file system itself. The daemon and the stand-alone mount differ only in what they do with it.
 */
import { join } from 'node:path';
import type { Logger } from '../../src/base/log.ts';
import { BlockService } from '../../src/blocks/block-service.ts';
import type { BlockSource } from '../../src/blocks/block-source.ts';
import { systemClock } from '../../src/blocks/clock.ts';
import { DiskCache } from '../../src/cache/disk-cache.ts';
import { MemoryCache } from '../../src/cache/memory-cache.ts';
import { Readahead } from '../../src/fs/ahead/readahead.ts';
import { IpfsFileSystem } from '../../src/fs/ipfs-file-system.ts';
import type { NodeRecorder } from '../../src/fs/node-recorder.ts';
import type { BackgroundSuspects } from '../../src/prefetch/background-suspects.ts';
import { LoopShare } from '../../src/prefetch/loop-share.ts';
import { Prefetcher } from '../../src/prefetch/prefetcher.ts';
import { ProfileStore } from '../../src/prefetch/profile-store.ts';
import { UnpinList } from '../../src/prefetch/unpin-list.ts';
import { gatewaySource } from '../../src/sources/gateway.ts';
import { kuboSource } from '../../src/sources/kubo.ts';
import { type KuboControl, kuboControl } from '../../src/sources/kubo-control.ts';
import { LocalStore } from '../../src/sources/local-store.ts';
import { nameResolver } from '../../src/sources/name-resolver.ts';
import { UnixfsReader } from '../../src/unixfs/unixfs-reader.ts';
import { type ContentResolver, contentResolver } from '../../src/volumes/content-resolver.ts';
import { volumeNameOf } from '../../src/volumes/volume-name.ts';
import type { Config } from '../config.ts';
import { countBlocksWithTheHeap } from './memory-settings.ts';

/**
 * Blocks just used, and those that a stream's window is ahead of its reader. The disk cache and the kernel's own pages stand
 * behind and before it, so it need not be large; what is here is the larger part of the daemon's memory.
 */
const MEMORY_CACHE_BYTES = 24 * 1024 * 1024;

export interface Content extends AsyncDisposable {
  readonly store: LocalStore;
  readonly cache: DiskCache;
  readonly memory: MemoryCache;
  readonly blocks: BlockService;
  readonly fileSystem: IpfsFileSystem;
  readonly resolver: ContentResolver;
  readonly kubo: KuboControl | undefined;
  readonly profiles: ProfileStore;
  readonly prefetcher: Prefetcher;
}

/** Who remembers, for the processes that follow. */
interface ContentObservers {
  /** Is told what node numbers mean. */
  readonly recorder?: NodeRecorder | undefined;
  readonly suspects?: BackgroundSuspects | undefined;
}

/**
 * Opens the stores in the state directory, and asks no network.
 * @throws what the stores do.
 */
export async function openContent(
  config: Config,
  logger: Logger,
  { recorder, suspects }: ContentObservers = {},
): Promise<Content> {
  countBlocksWithTheHeap();
  const store = await LocalStore.open(join(config.stateDirectory, 'store'), {
    logger,
    onBlock: (cid, bytes) => blocks.offer(cid, bytes, store.name),
    onGone: (key, sizeBytes) => prefetcher.gone(key, sizeBytes, cache.has(key), 'store'),
  });
  const cache = await DiskCache.open(join(config.stateDirectory, 'cache'), {
    limitBytes: config.cacheSizeBytes,
    logger,
  });
  const kubo = config.kuboRpc === undefined ? undefined : kuboOf(config.kuboRpc, config);
  const gateways = config.gateways.map((url) => ({ url, authorization: config.gatewayAuth }));
  const sources: BlockSource[] = [...(kubo ? [kubo.source] : []), ...gateways.map(gatewaySource)];
  const memory = new MemoryCache(MEMORY_CACHE_BYTES);
  const blocks = new BlockService({
    memory,
    stores: [store, cache],
    sinks: [cache],
    sources,
    timeoutMs: config.readTimeoutMs,
    prefetchBytesPerSecond: config.prefetchRate,
    logger,
  });
  const unixfs = new UnixfsReader(blocks);
  const profiles = new ProfileStore(join(config.stateDirectory, 'profiles'), logger);
  const unpinList = new UnpinList(join(config.stateDirectory, 'unpinning.json'), logger);
  const fileSystem = new IpfsFileSystem(unixfs, {
    extendedAttributes: config.extendedAttributes,
    observers: [new Readahead(blocks)],
    logger,
    nameOf: volumeNameOf,
    ...(recorder ? { recorder } : {}),
  });
  const loopShare = new LoopShare(systemClock, () => fileSystem.requests);
  const prefetcher = new Prefetcher({
    unixfs,
    cache,
    profiles,
    unpinList,
    pinner: kubo?.control,
    pinnerIsOptional: config.kuboIsDefault,
    suspects,
    logger,
    nameOf: volumeNameOf,
    holdMs: () => loopShare.holdMs,
    unanswered: () => cache.unanswered + store.unanswered,
  });
  cache.onOpened = () => prefetcher.countAgain();
  cache.onGone = (key, sizeBytes) => prefetcher.gone(key, sizeBytes, store.has(key));
  const names = nameResolver({ kubo: kubo?.control, gateways });
  return {
    store,
    cache,
    memory,
    blocks,
    fileSystem,
    resolver: contentResolver(unixfs, names, kubo?.control, logger),
    kubo: kubo?.control,
    profiles,
    prefetcher,
    async [Symbol.asyncDispose]() {
      await Promise.all([prefetcher.close(), blocks.close(), names.close(), kubo?.control.close()]);
      await Promise.all([cache.close(), store.close()]);
    },
  };
}

function kuboOf(rpc: string, config: Config): { readonly source: BlockSource; readonly control: KuboControl } {
  const options = { rpc, authorization: config.kuboRpcAuth };
  // Where it is the only source, nobody else's word is waited for: then it is.
  const optional = config.kuboIsDefault && config.gateways.length > 0;
  return { source: kuboSource({ ...options, optional }), control: kuboControl(options) };
}
