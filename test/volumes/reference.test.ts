import fc from 'fast-check';
import { bases } from 'multiformats/basics';
import { CID } from 'multiformats/cid';
import type { MultibaseEncoder } from 'multiformats/interface';
import { describe, expect, test } from 'vitest';
import { codeOf } from '../../src/base/errors.ts';
import { formatReference, parseReference } from '../../src/volumes/reference.ts';

const V0 = 'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn';
const V1 = CID.parse(V0).toV1();

describe('references', () => {
  test.each(Object.values(bases).filter(({ name }) => name !== 'identity'))('a CIDv1 in $name', (base) => {
    const text = V1.toString(base.encoder as MultibaseEncoder<string>);
    const reference = parseReference(text);
    expect(formatReference(reference)).toBe(`/ipfs/${V1}`);
  });

  test.each([
    [V0, `/ipfs/${V0}`],
    [`${V1}/sub/dir`, `/ipfs/${V1}/sub/dir`],
    [`/ipfs/${V1}/sub//dir/`, `/ipfs/${V1}/sub/dir`],
    [`ipfs://${V1}/a%20b%2Cc`, `/ipfs/${V1}/a b,c`],
    [`IPFS://${V1}`, `/ipfs/${V1}`],
    // Only URLs are percent-encoded: elsewhere the percent sign is the name's own.
    [`${V1}/a%20b`, `/ipfs/${V1}/a%20b`],
    ['/ipns/docs.ipfs.tech/guide', '/ipns/docs.ipfs.tech/guide'],
    [
      'ipns://k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8',
      '/ipns/k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8',
    ],
    ['bafkqaaa', '/ipfs/bafkqaaa'],
  ])('%s', (text, canonical) => {
    expect(formatReference(parseReference(text))).toBe(canonical);
  });

  test.each([
    ['', /is empty/],
    ['/ipfs/', /nothing behind \/ipfs\//],
    ['/tmp/x', /starts with \/ipfs\/ or \/ipns\//],
    ['hello', /is not a CID/],
    [V0.slice(0, -1), /is not a CID/],
    [`${V1}/../x`, /"\.\." cannot stand/],
    [`ipfs://${V1}/a%2Fb`, /cannot hold a slash/],
    [`ipfs://${V1}/%zz`, /percent-encoded/],
    ['/ipns/a b', /neither a key nor a domain/],
    // sha1, which Kubo refuses too: 0x11, 20 bytes.
    [
      CID.createV1(0x55, {
        code: 0x11,
        size: 20,
        digest: new Uint8Array(20),
        bytes: Uint8Array.from([0x11, 20, ...new Uint8Array(20)]),
      }).toString(),
      /cannot be used/,
    ],
    ['x'.repeat(5000), /over 4096/],
  ])('refused: %s', (text, reason) => {
    expect(() => parseReference(text)).toThrow(reason);
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'REFERENCE_INVALID' }));
  });

  test('any text is a reference or REFERENCE_INVALID', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `${V1}/${text}`),
          fc.string().map((text) => `ipns://${text}`),
        ),
        (text) => {
          try {
            formatReference(parseReference(text));
          } catch (error) {
            expect(codeOf(error)).toBe('REFERENCE_INVALID');
          }
        },
      ),
    );
  });
});
