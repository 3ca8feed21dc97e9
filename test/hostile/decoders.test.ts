/**
 * Every decoder, by a table: whatever bytes it is given, it gives a result or a CodedError of the codes that its contract
 * names, soon and within a little memory.
 */
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { CodedError, type ErrorCode } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import { MAX_BLOCK_BYTES } from '../../src/blocks/block.ts';
import { EncodedRequest } from '../../src/fuse/kernel/decode-request.ts';
import { uniquesIn } from '../../src/fuse/kernel/in-flight-journal.ts';
import { JournalFile } from '../../src/fuse/kernel/journal-file.ts';
import { decodeProfile } from '../../src/prefetch/boot-profile.ts';
import { ProfileStore } from '../../src/prefetch/profile-store.ts';
import { readCar } from '../../src/sources/car-reader.ts';
import { newestRecord, recordFault } from '../../src/sources/name-ipns.ts';
import { type NameKey, parseNameKey } from '../../src/sources/name-key.ts';
import { contentKey } from '../../src/unixfs/content-key.ts';
import { decodeUnixfsEntry } from '../../src/unixfs/unixfs-entry.ts';
import { parseReference } from '../../src/volumes/reference.ts';
import { StateFile } from '../../src/volumes/state-file.ts';
import { parseVolumeOptions } from '../../src/volumes/volume-options.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { cidOfBytes, DAG_PB } from '../support/dag-builder.ts';
import { inPieces } from '../support/make-car.ts';
import { corpus, mutated } from '../support/mutated.ts';

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const KEY = contentKey(cidOfBytes(DAG_PB, Buffer.from('x')));
const TEXT = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8');

interface Decoder {
  readonly name: string;
  readonly seeds: readonly Uint8Array[];
  /** What it may throw; anything else fails the test. */
  readonly codes: readonly ErrorCode[];
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly runs?: number;
}

const NAME_KEY = parseNameKey(
  readFileSync(new URL('../corpus/ipns-record/ed25519.key', import.meta.url), 'utf8'),
) as NameKey;
const NAME_PATH = newestRecord(NAME_KEY, corpus('ipns-record')).path;
const OPTION_DEFAULTS = { prefetch: 'auto', timeoutMs: 1000 } as const;
const references = [
  'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/a/b',
  '/ipns/en.wikipedia-on-ipfs.org/wiki',
  'ipfs://QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn',
  '/ipfs/bafkqaaa/%2e%2e',
];

const DECODERS: readonly Decoder[] = [
  {
    name: 'a block of UnixFS',
    seeds: corpus('unixfs'),
    codes: ['DAG_INVALID'],
    decode: (bytes) => decodeUnixfsEntry(KEY, bytes),
    runs: 4000,
  },
  {
    name: 'a CAR',
    seeds: corpus('car'),
    codes: ['CAR_INVALID', 'BLOCK_TOO_LARGE'],
    decode: async (bytes) => {
      const car = await readCar(inPieces(bytes, 64));
      for await (const block of car.blocks) expect(block.bytes.length).toBeLessThanOrEqual(MAX_BLOCK_BYTES + 4096);
    },
    runs: 2000,
  },
  {
    name: 'an IPNS record',
    seeds: corpus('ipns-record'),
    codes: [],
    decode: async (bytes) => {
      const fault = await recordFault(NAME_KEY, bytes);
      // What is not signed may be anything (the signature of version 1 is); where it leads is what was signed.
      if (fault === undefined) expect(newestRecord(NAME_KEY, [bytes]).path).toBe(NAME_PATH);
    },
    runs: 500,
  },
  {
    name: 'a boot profile',
    seeds: corpus('profile'),
    codes: ['INPUT_INVALID'],
    decode: (bytes) => decodeProfile(TEXT(bytes)),
  },
  {
    name: 'the options of a volume',
    seeds: corpus('options'),
    codes: ['OPTION_INVALID', 'REFERENCE_INVALID'],
    decode: (bytes) => parseVolumeOptions('name', optionsIn(bytes), OPTION_DEFAULTS),
  },
  {
    name: 'the name of a volume',
    seeds: references.map((text) => Buffer.from(text)),
    codes: ['OPTION_INVALID', 'REFERENCE_INVALID'],
    decode: (bytes) => parseVolumeOptions(TEXT(bytes), {}, OPTION_DEFAULTS),
  },
  {
    name: 'a reference',
    seeds: references.map((text) => Buffer.from(text)),
    codes: ['REFERENCE_INVALID'],
    decode: (bytes) => parseReference(TEXT(bytes)),
    runs: 2000,
  },
  {
    name: 'a request of the kernel',
    seeds: [Buffer.alloc(40), Buffer.alloc(104)],
    codes: ['REQUEST_INVALID', 'INTERNAL'],
    decode: (bytes) => new EncodedRequest(bytes).header(),
  },
  {
    name: 'the state file',
    seeds: corpus('state'),
    codes: ['CONFIG_INVALID'],
    decode: (bytes) => {
      const state = new StateFile(scratch.at('state'), silentLogger());
      writeFileSync(scratch.at('state', 'volumes.json'), bytes);
      for (const { name, mounts } of state.load().volumes)
        expect([typeof name, typeof mounts]).toEqual(['string', 'object']);
    },
    runs: 300,
  },
  {
    name: 'the file of a boot profile',
    seeds: corpus('profile'),
    codes: [],
    decode: (bytes) => {
      const profiles = new ProfileStore(scratch.at('profiles'), silentLogger());
      writeFileSync(scratch.at('profiles', 'name.json'), bytes);
      profiles.get('name');
      profiles.list();
    },
    runs: 200,
  },
  {
    name: 'the journal of requests in flight',
    seeds: [Buffer.alloc(64, 1)],
    codes: [],
    decode: (bytes) => {
      writeFileSync(scratch.at('in-flight'), bytes);
      const file = openSync(scratch.at('in-flight'), 'r');
      try {
        return uniquesIn(file);
      } finally {
        closeSync(file);
      }
    },
    runs: 200,
  },
];

function optionsIn(bytes: Uint8Array): Record<string, string> {
  try {
    const value: unknown = JSON.parse(TEXT(bytes));
    if (typeof value === 'object' && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, String(item)]));
    }
  } catch {
    // Then the text is one option's value.
  }
  return { cid: TEXT(bytes), [TEXT(bytes).slice(0, 8)]: TEXT(bytes) };
}

for (const { name, seeds, codes, decode, runs = 1000 } of DECODERS) {
  const attempt = async (bytes: Uint8Array): Promise<void> => {
    try {
      await decode(bytes);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      expect(codes).toContain(error.code);
      // One line for people, whatever was in it.
      expect(error.message.length).toBeLessThan(2000);
    }
  };

  test(`${name}: the corpus, and what follows from it by change`, async () => {
    for (const seed of seeds) await attempt(seed);
    await fc.assert(fc.asyncProperty(mutated(fc.constantFrom(...seeds)), attempt), { numRuns: runs });
  });
}

test('the journal of node numbers: an Error at the most, whatever stands in it', () => {
  const mark = Buffer.from('IVNODES\x01');
  fc.assert(
    fc.property(mutated(fc.uint8Array({ maxLength: 200 })), fc.boolean(), (bytes, marked) => {
      writeFileSync(scratch.at('nodes'), marked ? Buffer.concat([mark, bytes]) : bytes);
      const file = JournalFile.open(scratch.at('nodes'));
      try {
        for (const event of file.events()) expect(event).toBeDefined();
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
        expect(error).not.toBeInstanceOf(TypeError);
      } finally {
        file.close();
      }
    }),
    { numRuns: 500 },
  );
});
