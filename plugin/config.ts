/**
 * The configuration: environment variables, and `serve` flags of the same names. One table; what cannot be read stops the
 * daemon with a line that names the variable.
 *
 * A managed plugin's environment has every variable, most of them empty. So empty means "the default", but for the two
 * sources, where the documented way to turn one off is to empty it (the plugin's config.json carries their defaults).
 */
import { CodedError, messageChain } from '../src/base/errors.ts';
import { LOG_LEVELS, type LogLevel } from '../src/base/log.ts';
import { parseDurationMs, parseRate, parseSize } from '../src/base/units.ts';
import { DEFAULT_GATEWAYS } from '../src/sources/gateway-defaults.ts';
import { parseEndpoint } from '../src/sources/http-endpoint.ts';
import { kuboEndpoint } from '../src/sources/kubo-endpoint.ts';
import type { PrefetchMode } from '../src/volumes/volume-options.ts';
import { VARIABLE_TEXTS } from './variable-texts.ts';

export interface Config {
  readonly socketPath: string;
  readonly mountRoot: string;
  readonly stateDirectory: string;
  /** A URL or multiaddr; undefined where turned off. */
  readonly kuboRpc: string | undefined;
  /** True where nobody chose it: then it is used when it answers, and never waited for. */
  readonly kuboIsDefault: boolean;
  readonly kuboRpcAuth: string | undefined;
  readonly gateways: readonly string[];
  readonly gatewayAuth: string | undefined;
  /** True where nobody chose the gateways: their operators see which CIDs are asked for. */
  readonly gatewaysAreDefault: boolean;
  readonly cacheSizeBytes: number;
  readonly readTimeoutMs: number;
  /** Bytes a second for background fetching; undefined for no bound. */
  readonly prefetchRate: number | undefined;
  readonly prefetch: PrefetchMode;
  readonly extendedAttributes: boolean;
  /** Where `GET /metrics` is served besides the socket. */
  readonly metricsAddress: { readonly host: string; readonly port: number } | undefined;
  readonly transport: 'kernel' | 'fuse-native';
  /** False to do as if the kernel could not send unanswered requests again (before Linux 6.9). */
  readonly resend: boolean;
  readonly logLevel: LogLevel;
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Variable<T> {
  /** Environment variable, without the prefix. */
  readonly name: string;
  readonly fallback: T;
  readonly read: (text: string) => T;
  /** What an empty value means, where it is not the default. */
  readonly empty?: T;
}

export const PREFIX = 'IPFS_VOLUME_';

type Derived = 'gatewaysAreDefault' | 'kuboIsDefault';

const VARIABLES: { readonly [Key in Exclude<keyof Config, Derived>]: Variable<Config[Key]> } = {
  socketPath: { name: 'SOCKET', fallback: '/run/docker/plugins/ipfs.sock', read: socketPath },
  mountRoot: { name: 'MOUNT_ROOT', fallback: '/var/lib/ipfs-volume/mnt', read: absolute },
  stateDirectory: { name: 'STATE_DIR', fallback: '/var/lib/ipfs-volume', read: absolute },
  kuboRpc: {
    name: 'KUBO_RPC',
    fallback: 'http://127.0.0.1:5001',
    empty: undefined,
    read: (text) => checked(text, kuboEndpoint),
  },
  kuboRpcAuth: { name: 'KUBO_RPC_AUTH', fallback: undefined, read: headerValue },
  gateways: {
    name: 'GATEWAYS',
    fallback: DEFAULT_GATEWAYS,
    empty: [],
    read: (text) => list(text).map((url) => checked(url, parseEndpoint)),
  },
  gatewayAuth: { name: 'GATEWAY_AUTH', fallback: undefined, read: headerValue },
  cacheSizeBytes: { name: 'CACHE_SIZE', fallback: 10 * 1024 ** 3, read: parseSize },
  readTimeoutMs: { name: 'READ_TIMEOUT', fallback: 60_000, read: parseDurationMs },
  prefetchRate: { name: 'PREFETCH_RATE', fallback: undefined, read: parseRate },
  prefetch: { name: 'PREFETCH', fallback: 'auto', read: (text) => oneOf(text, ['auto', 'all', 'none']) },
  extendedAttributes: { name: 'XATTRS', fallback: false, read: (text) => oneOf(text, ['on', 'off']) === 'on' },
  metricsAddress: { name: 'METRICS', fallback: undefined, read: address },
  transport: { name: 'TRANSPORT', fallback: 'kernel', read: (text) => oneOf(text, ['kernel', 'fuse-native']) },
  resend: { name: 'RESEND', fallback: true, read: (text) => oneOf(text, ['on', 'off']) === 'on' },
  logLevel: { name: 'LOG_LEVEL', fallback: 'info', read: (text) => oneOf(text, LOG_LEVELS) },
};

/** The flags of `serve`: `--cache-size` for IPFS_VOLUME_CACHE_SIZE. */
export const FLAGS = Object.values(VARIABLES).map(({ name }) => ({
  flag: `--${name.toLowerCase().replaceAll('_', '-')}`,
  variable: PREFIX + name,
  fallback: VARIABLE_TEXTS[name]?.fallback ?? '',
  meaning: VARIABLE_TEXTS[name]?.meaning ?? '',
}));

/** @throws CONFIG_INVALID naming the variable. */
export function readConfig(environment: Environment): Config {
  checkProxies(environment);
  const entries = Object.entries(VARIABLES).map(([key, variable]) => [
    key,
    readVariable(variable as Variable<unknown>, environment),
  ]);
  const config = Object.fromEntries(entries) as Config;
  // A managed plugin spells its defaults out.
  return {
    ...config,
    gatewaysAreDefault: config.gateways.join() === DEFAULT_GATEWAYS.join(),
    kuboIsDefault: config.kuboRpc === VARIABLES.kuboRpc.fallback,
  };
}

/** undici reads these, later, and its error would name neither the variable nor what to do. */
function checkProxies(environment: Environment): void {
  for (const name of ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy']) {
    const text = environment[name];
    if (!text || URL.canParse(text)) continue;
    // Not shown: it may hold a password.
    throw new CodedError('CONFIG_INVALID', `${name} cannot be used: it is no URL such as http://proxy.example:3128`);
  }
}

function readVariable<T>({ name, fallback, read, ...variable }: Variable<T>, environment: Environment): T {
  const text = environment[PREFIX + name]?.trim();
  if (text === undefined) return fallback;
  if (text === '') return 'empty' in variable ? (variable.empty as T) : fallback;
  try {
    return read(text);
  } catch (error) {
    throw new CodedError('CONFIG_INVALID', `${PREFIX}${name} cannot be used: ${messageChain(error)}`);
  }
}

/** An absolute path, or one below the working directory: a daemon has no use for the latter. */
function absolute(text: string): string {
  if (!text.startsWith('/')) throw new Error(`"${text}" is not an absolute path`);
  return text.length > 1 ? text.replace(/\/+$/, '') : text;
}

/** 107 bytes: `sun_path` of unix(7), less the NUL. */
function socketPath(text: string): string {
  if (Buffer.byteLength(text) > 107) throw new Error('a socket path has at most 107 bytes');
  return absolute(text);
}

/** Reads `text` for the sake of its errors alone; it is used as it was written. */
function checked(text: string, read: (text: string) => unknown): string {
  read(text);
  return text;
}

/** Visible ASCII and spaces, as a header's value may hold (RFC 9110). The value itself never goes into a message. */
function headerValue(text: string): string {
  if (!/^[\x20-\x7e]+$/.test(text)) throw new Error('it cannot stand in an Authorization header');
  return text;
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function oneOf<const T extends string>(text: string, choices: readonly T[]): T {
  const choice = choices.find((candidate) => candidate === text);
  if (choice === undefined) throw new Error(`"${text}" is none of ${choices.join(', ')}`);
  return choice;
}

/** `:9464` binds loopback; any other host must be written out. */
function address(text: string): Config['metricsAddress'] {
  const match = /^(?<host>\[[0-9a-fA-F:]+\]|[^:]*):(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.port);
  if (!match || port > 65_535) throw new Error(`"${text}" is not an address such as :9464`);
  return { host: match.groups?.host?.replace(/^\[|\]$/g, '') || '127.0.0.1', port };
}
