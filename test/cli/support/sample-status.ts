/** A daemon's status with one of everything, for the commands that show it. */
import type { DaemonStatus, VolumeStatus } from '../../../src/volumes/control-api.ts';

export const SAMPLE_VOLUME: VolumeStatus = {
  name: 'bafybeigq5fbyt6rw5ginmma4bltjeq644xugq3icgnww3jfeo3h76vmnuy/sub',
  reference: 'bafybeigq5fbyt6rw5ginmma4bltjeq644xugq3icgnww3jfeo3h76vmnuy/sub',
  cid: 'bafybeibbxiesnsmg5wlm52gi7jytfm5qxmdbmn7ya2aoxu24qdvuovtq7i',
  path: 'sub',
  state: 'prefetching',
  mountpoint: '/mnt/volumes/sub',
  mounts: 2,
  createdAt: '2026-01-02T03:04:05Z',
  bytesTotal: 4 * 1024 ** 2,
  bytesCached: 1024 ** 2,
  counted: true,
  bytesToCome: 3 * 1024 ** 2,
  stopped: null,
  blocksFetched: 7,
  fetched: {
    demand: { blocks: 3, bytes: 300 * 1024 },
    readahead: { blocks: 2, bytes: 200 * 1024 },
    metadata: { blocks: 0, bytes: 0 },
    profile: { blocks: 1, bytes: 100 * 1024 },
    background: { blocks: 1, bytes: 100 * 1024 },
  },
  waiting: null,
  source: 'gateway https://gateway.example',
  profile: null,
  lastError: null,
  lastErrorSecondsAgo: null,
  options: { timeout: '30s' },
};

export const SAMPLE_STATUS: DaemonStatus = {
  version: '9.8.7',
  uptimeSeconds: 93_784,
  restarts: 0,
  mountRoot: '/mnt/volumes',
  stateDirectory: '/mnt/state',
  volumes: [SAMPLE_VOLUME],
  sources: [
    {
      name: 'gateway https://gateway.example',
      state: 'failing',
      failingSeconds: 125,
      lastError: 'answered 500',
      lastErrorSecondsAgo: 3,
      blocks: 12,
      bytes: 12 * 1024 ** 2,
      errors: 3,
      // Readers are not held back by the window.
      inFlight: 33,
      limit: 16,
    },
  ],
  store: { roots: 1, blocks: 20, bytes: 20 * 1024 ** 2 },
  cache: { blocks: 5, bytes: 5 * 1024 ** 2, limitBytes: 10 * 1024 ** 3, trouble: null },
  blocksByPriority: { demand: 1, readahead: 2, metadata: 3, profile: 4, background: 5 },
};
