/**
 * Volume options: `docker volume create -d ipfs -o KEY=VALUE NAME`, read once at Create.
 *
 * One table has each option's reader, so that an option unknown to it is refused by name and none is read twice. What a
 * volume was created with is kept as it was written (`given`), to be compared when it is created again.
 */
import { multiaddr } from '@multiformats/multiaddr';
import { CodedError, messageChain } from '../base/errors.ts';
import { parseDurationMs } from '../base/units.ts';
import { parseReference, type Reference } from './reference.ts';

export type PrefetchMode = 'auto' | 'all' | 'none';

export interface VolumeOptions {
  readonly reference: Reference;
  readonly prefetch: PrefetchMode;
  readonly fileMode: number;
  readonly dirMode: number;
  readonly uid: number;
  readonly gid: number;
  /** Multiaddrs to connect the Kubo node to before the first fetch. */
  readonly peers: readonly string[];
  /** In milliseconds. */
  readonly timeoutMs: number;
  /** A boot profile: a CID, or a name. */
  readonly profile: string | undefined;
  readonly pin: boolean;
}

export interface OptionDefaults {
  readonly prefetch: PrefetchMode;
  readonly timeoutMs: number;
}

type Values = { -readonly [Key in keyof VolumeOptions]?: VolumeOptions[Key] };

/** The largest id of Linux but one: 2^32 - 1 means "none" in chown(2). */
const MAX_ID = 2 ** 32 - 2;
const UNKNOWN_PROFILE =
  'it is neither a CID nor the name of a profile; "ipfs-volume profile import --name NAME FILE" gives a file a name';
/** The names of boot profiles are file names. */
const PROFILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

const READERS: Readonly<Record<string, (value: string) => Values>> = {
  cid: (value) => {
    const reference = parseReference(value);
    if (value.startsWith('/') || value.includes('://'))
      throw new Error('it takes a CID or CID/path; use path= for this');
    return { reference };
  },
  path: (value) => {
    if (!value.startsWith('/') && !value.includes('://'))
      throw new Error('it takes /ipfs/…, /ipns/…, ipfs:// or ipns://');
    return { reference: parseReference(value) };
  },
  prefetch: (value) => ({ prefetch: oneOf(value, ['auto', 'all', 'none']) }),
  'file-mode': (value) => ({ fileMode: permissions(value) }),
  'dir-mode': (value) => ({ dirMode: permissions(value) }),
  uid: (value) => ({ uid: id(value) }),
  gid: (value) => ({ gid: id(value) }),
  peers: (value) => ({ peers: value.split(',').map((peer) => address(peer.trim())) }),
  timeout: (value) => ({ timeoutMs: parseDurationMs(value) }),
  profile: (value) => {
    if (!PROFILE_NAME.test(value)) throw new Error(UNKNOWN_PROFILE);
    return { profile: value };
  },
  pin: (value) => ({ pin: oneOf(value, ['true', 'false']) === 'true' }),
};

/**
 * The options of a volume called `name`. Without `cid` and `path` the name is the reference, which is what
 * `docker run -v <cid>:/data` sends.
 *
 * @throws OPTION_INVALID naming the option, REFERENCE_INVALID for a name that is none.
 */
export function parseVolumeOptions(
  name: string,
  given: Readonly<Record<string, string>>,
  defaults: OptionDefaults,
): VolumeOptions {
  const values: Values = {};
  for (const [key, value] of Object.entries(given)) {
    const read = Object.hasOwn(READERS, key) ? READERS[key] : undefined;
    if (!read) throw invalid(`unknown option "${key}"; the options are ${Object.keys(READERS).join(', ')}`);
    try {
      Object.assign(values, read(value));
    } catch (error) {
      throw new CodedError(
        'OPTION_INVALID',
        `option ${key}=${value.slice(0, 200)} cannot be used: ${messageChain(error)}`,
      );
    }
  }
  if ('cid' in given && 'path' in given) throw invalid('the options "cid" and "path" contradict each other: give one');
  if (values.pin && values.prefetch === 'none') {
    throw invalid('the options "pin=true" and "prefetch=none" contradict each other: what is pinned is fetched whole');
  }
  return {
    prefetch: defaults.prefetch,
    timeoutMs: defaults.timeoutMs,
    fileMode: 0o444,
    dirMode: 0o555,
    uid: 0,
    gid: 0,
    peers: [],
    profile: undefined,
    pin: false,
    ...values,
    reference: values.reference ?? referenceOfName(name),
  };
}

/** `key=value` for each option whose value differs, `old ≠ new` as people read it; '' where none does. */
export function differences(before: Readonly<Record<string, string>>, after: Readonly<Record<string, string>>): string {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((key) => before[key] !== after[key])
    .map((key) => `${key} was ${before[key] ?? 'not given'} and is now ${after[key] ?? 'not given'}`)
    .join('; ');
}

function referenceOfName(name: string): Reference {
  // Docker names anonymous volumes, and an image's own VOLUMEs, by 64 hexadecimal digits.
  if (/^[0-9a-f]{64}$/.test(name)) {
    throw new CodedError(
      'REFERENCE_INVALID',
      `the volume "${name}" is anonymous and names no content: --volume-driver also captures an image's own VOLUMEs; ` +
        'give that path a volume of its own, or use --mount type=volume,volume-driver=ipfs,volume-opt=cid=…',
    );
  }
  try {
    return parseReference(name);
  } catch (error) {
    throw new CodedError(
      'REFERENCE_INVALID',
      `the volume "${name}" has neither the option cid= nor path=, and its name is no reference either`,
      { cause: error },
    );
  }
}

function oneOf<const T extends string>(value: string, choices: readonly T[]): T {
  const choice = choices.find((candidate) => candidate === value);
  if (choice === undefined) throw new Error(`it takes ${choices.join(' or ')}`);
  return choice;
}

function permissions(value: string): number {
  // Without the 0 it may be what YAML made of an unquoted 0555: 365.
  if (!/^0[0-7]{3}$/.test(value)) {
    throw new Error('it takes permission bits in octal that begin with a 0, such as 0444 (in YAML in quotes: "0444")');
  }
  return Number.parseInt(value, 8);
}

/** The library takes '' and '/' for the address of nothing. */
function address(value: string): string {
  const example = 'it takes multiaddrs such as /ip4/192.0.2.1/tcp/4001/p2p/12D3…, separated by commas';
  let peer: ReturnType<typeof multiaddr>;
  try {
    peer = multiaddr(value);
  } catch (cause) {
    throw new Error(example, { cause });
  }
  if (peer.getComponents().length === 0) throw new Error(example);
  return peer.toString();
}

function id(value: string): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number > MAX_ID) throw new Error(`it takes a number from 0 to ${MAX_ID}`);
  return number;
}

function invalid(message: string): CodedError {
  return new CodedError('OPTION_INVALID', message);
}
