/**
 * Well-formed input, somewhat changed: what decoders meet after a bad disk or a clever enemy, and random bytes never reach.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';

const CORPUS = new URL('../corpus', import.meta.url).pathname;

/** The corpus of one decoder: well-formed inputs, and those that were once mishandled. */
export function corpus(name: string): Uint8Array[] {
  const directory = join(CORPUS, name);
  const files = readdirSync(directory).filter((file) => !file.endsWith('.key'));
  return files.map((file) => new Uint8Array(readFileSync(join(directory, file))));
}

type Change = (bytes: Buffer) => Buffer;

/** Numbers at which formats change their mind: varints, lengths, signs. */
const BORDERS = [
  '00',
  '01',
  '7f',
  '80',
  'ff',
  'ff7f',
  '8001',
  'ffffffff',
  'ffffff7f',
  '80808080808080808001',
  'ffffffffffffffffff01',
];

const change: fc.Arbitrary<Change> = fc.oneof(
  // Bytes, bits.
  fc.tuple(fc.nat(), fc.nat(255)).map(
    ([at, value]): Change =>
      (bytes) => {
        if (bytes.length > 0) bytes[at % bytes.length] = value;
        return bytes;
      },
  ),
  fc.tuple(fc.nat(), fc.nat(7)).map(
    ([at, bit]): Change =>
      (bytes) => {
        if (bytes.length > 0) bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ (1 << bit);
        return bytes;
      },
  ),
  // A border number in place of what is there, or between.
  fc.tuple(fc.nat(), fc.constantFrom(...BORDERS), fc.boolean()).map(
    ([at, hex, between]): Change =>
      (bytes) => {
        const from = bytes.length === 0 ? 0 : at % bytes.length;
        const border = Buffer.from(hex, 'hex');
        return Buffer.concat([bytes.subarray(0, from), border, bytes.subarray(between ? from : from + border.length)]);
      },
  ),
  // Cut off, cut out, repeated, appended.
  fc.nat().map(
    (at): Change =>
      (bytes) =>
        bytes.subarray(0, at % (bytes.length + 1)),
  ),
  fc.tuple(fc.nat(), fc.nat(40), fc.nat(3)).map(
    ([at, length, times]): Change =>
      (bytes) => {
        const from = at % (bytes.length + 1);
        const piece = bytes.subarray(from, from + length);
        return Buffer.concat([bytes.subarray(0, from), ...Array(times).fill(piece), bytes.subarray(from + length)]);
      },
  ),
  fc.uint8Array({ maxLength: 30 }).map(
    (more): Change =>
      (bytes) =>
        Buffer.concat([bytes, more]),
  ),
);

/** `valid` with up to six changes; now and then none, or bytes that have nothing to do with it. */
export function mutated(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const changes = fc.tuple(valid, fc.array(change, { maxLength: 6 })).map(([bytes, list]) => {
    let changed: Buffer = Buffer.from(bytes);
    for (const apply of list) changed = apply(changed);
    return Uint8Array.from(changed);
  });
  return fc.oneof({ weight: 9, arbitrary: changes }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) });
}
