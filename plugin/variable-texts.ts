/**
 * What each variable of the configuration means, and its default, in the words of docs/REFERENCE.md (a test compares them):
 * `serve --help` says the same.
 */

interface VariableText {
  /** Empty where there is none. */
  readonly fallback: string;
  readonly meaning: string;
}

/** By the variable's name without its prefix. */
export const VARIABLE_TEXTS: Readonly<Record<string, VariableText>> = {
  SOCKET: {
    fallback: '/run/docker/plugins/ipfs.sock',
    meaning: 'the unix socket, for Docker and for the command line',
  },
  MOUNT_ROOT: {
    fallback: '/var/lib/ipfs-volume/mnt (/mnt/volumes in the plugin)',
    meaning: 'where the one FUSE file system of all volumes is mounted',
  },
  STATE_DIR: {
    fallback: '/var/lib/ipfs-volume (/mnt/state in the plugin)',
    meaning: 'volumes, local store, cache, boot profiles',
  },
  KUBO_RPC: {
    fallback: 'http://127.0.0.1:5001',
    meaning:
      "a Kubo node's RPC, URL or multiaddr, used when it answers; at the default address, beside gateways, not waited for before it first did; empty turns it off",
  },
  KUBO_RPC_AUTH: {
    fallback: '',
    meaning: 'Authorization for that RPC, such as Bearer …',
  },
  GATEWAYS: {
    fallback: 'https://trustless-gateway.link,https://4everland.io',
    meaning: 'trustless gateways, comma-separated, in order of preference; empty turns them off',
  },
  GATEWAY_AUTH: {
    fallback: '',
    meaning: 'Authorization for the gateways of that list',
  },
  CACHE_SIZE: {
    fallback: '10GiB',
    meaning: 'bound of the block cache on disk',
  },
  READ_TIMEOUT: {
    fallback: '60s',
    meaning:
      'a read fails with ETIMEDOUT after this, and with EIO as soon as every source has said that it has no such block',
  },
  PREFETCH_RATE: {
    fallback: '',
    meaning: 'bound on background fetching, a boot profile included, such as 20MiB/s; none by default',
  },
  PREFETCH: {
    fallback: 'auto',
    meaning: 'what a volume does that has no prefetch=',
  },
  XATTRS: {
    fallback: 'off',
    meaning:
      'on shows the extended attribute user.ipfs.cid on files and directories; each ls -l then costs two more requests a file',
  },
  METRICS: {
    fallback: '',
    meaning: 'an address for GET /metrics besides the socket; :9464 binds loopback, any other host is written out',
  },
  TRANSPORT: {
    fallback: 'kernel',
    meaning: 'fuse-native uses that package instead, where it is installed; not in the managed plugin',
  },
  RESEND: {
    fallback: 'on',
    meaning: 'off does as if the kernel could not send unanswered requests again, as before Linux 6.9',
  },
  LOG_LEVEL: {
    fallback: 'info',
    meaning: 'silent, error, warn, info or debug; one JSON line an event, on stdout',
  },
};
