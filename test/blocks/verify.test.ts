import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import { describe, expect, it } from 'vitest';
import { codeOf } from '../../src/base/errors.ts';
import { MAX_BLOCK_BYTES } from '../../src/blocks/block.ts';
import { checkCid, identityBytes, verifyBlock } from '../../src/blocks/verify.ts';

/** Published test vectors: FIPS 180-4 and 202, the Keccak team's, RFC 7693, BLAKE3's and Bitcoin's. */
const VECTORS: ReadonlyArray<readonly [name: string, code: number, text: string, hex: string]> = [
  ['sha2-256', 0x12, 'abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  [
    'sha2-512',
    0x13,
    'abc',
    'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
  ],
  [
    'sha3-512',
    0x14,
    'abc',
    'b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0',
  ],
  [
    'sha3-384',
    0x15,
    'abc',
    'ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25',
  ],
  ['sha3-256', 0x16, 'abc', '3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532'],
  ['sha3-224', 0x17, 'abc', 'e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf'],
  ['shake-256', 0x19, '', '46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f'],
  ['keccak-224', 0x1a, 'abc', 'c30411768506ebe1c2871b1ee2e87d38df342317300a9b97a95ec6a8'],
  ['keccak-256', 0x1b, 'abc', '4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45'],
  [
    'keccak-384',
    0x1c,
    'abc',
    'f7df1165f033337be098e7d288ad6a2f74409d7a60b49c36642218de161b1f99f8c681e4afaf31a34db29fb763e3c28e',
  ],
  [
    'keccak-512',
    0x1d,
    'abc',
    '18587dc2ea106b9a1563e32b3312421ca164c7f1f07bc922a9c83d77cea3a1e5d0c69910739025372dc14ac9642629379540c17e2a65b19d77aa511a9d00bb96',
  ],
  ['blake3', 0x1e, '', 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  ['dbl-sha2-256', 0x56, 'hello', '9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50'],
  ['blake2b-256', 0xb220, 'abc', 'bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319'],
  [
    'blake2b-512',
    0xb240,
    'abc',
    'ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923',
  ],
  ['blake2s-256', 0xb260, 'abc', '508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982'],
];

function cidOf(code: number, digest: Uint8Array): CID {
  return CID.createV1(0x55, create(code, digest));
}

function codeThrown(run: () => void): string {
  try {
    run();
    return 'nothing';
  } catch (error) {
    return codeOf(error);
  }
}

describe('verifyBlock', () => {
  it.each(VECTORS)('%s: accepts the published vector, finds each kind of damage', (_name, code, text, hex) => {
    const digest = new Uint8Array(Buffer.from(hex, 'hex'));
    const bytes = new Uint8Array(Buffer.from(text));
    verifyBlock(cidOf(code, digest), bytes);
    const longer = new Uint8Array([...bytes, 0]);
    expect(codeThrown(() => verifyBlock(cidOf(code, digest), longer))).toBe('BLOCK_CORRUPT');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Uint8Array.from(bytes, (byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
      expect(codeThrown(() => verifyBlock(cidOf(code, digest), flipped))).toBe('BLOCK_CORRUPT');
    }
    const otherDigest = digest.map((byte, at) => (at === digest.length - 1 ? byte ^ 0x80 : byte));
    expect(codeThrown(() => verifyBlock(cidOf(code, otherDigest), bytes))).toBe('BLOCK_CORRUPT');
  });

  it.each(VECTORS)('%s: a digest cut to 20 bytes verifies, one of 19 is refused', (_name, code, text, hex) => {
    const bytes = new Uint8Array(Buffer.from(text));
    const digest = new Uint8Array(Buffer.from(hex, 'hex'));
    verifyBlock(cidOf(code, digest.subarray(0, 20)), bytes);
    expect(codeThrown(() => checkCid(cidOf(code, digest.subarray(0, 19))))).toBe('BLOCK_CORRUPT');
  });

  it('knows the extendable outputs in full', () => {
    // SHAKE256 of nothing, 64 bytes (FIPS 202); BLAKE3 of nothing, 64 bytes (its test vectors).
    const shake =
      '46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762fd75dc4ddd8c0f200cb05019d67b592f6fc821c49479ab48640292eacb3b7c4be';
    const blake =
      'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262e00f03e7b69af26b7faaf09fcd333050338ddfe085b8cc869ca98b206c08243a';
    verifyBlock(cidOf(0x19, new Uint8Array(Buffer.from(shake, 'hex'))), new Uint8Array());
    verifyBlock(cidOf(0x1e, new Uint8Array(Buffer.from(blake, 'hex'))), new Uint8Array());
  });

  it('takes 2 MiB and refuses a byte more, before hashing it', () => {
    const anything = cidOf(0x12, new Uint8Array(32));
    expect(codeThrown(() => verifyBlock(anything, new Uint8Array(MAX_BLOCK_BYTES)))).toBe('BLOCK_CORRUPT');
    expect(codeThrown(() => verifyBlock(anything, new Uint8Array(MAX_BLOCK_BYTES + 1)))).toBe('BLOCK_TOO_LARGE');
  });
});

describe('checkCid', () => {
  it.each([
    ['sha1', 0x11, 20],
    ['md5', 0xd5, 20],
    ['murmur3', 0x22, 20],
    ['shake-128', 0x18, 32],
    ['blake2b-152', 0xb213, 19],
    ['blake2s-152', 0xb253, 19],
    ['blake2s, one code too far', 0xb261, 32],
    ['sha2-256 of 33 bytes', 0x12, 33],
    ['blake3 of 129 bytes', 0x1e, 129],
  ])('refuses %s', (_name, code, sizeBytes) => {
    const cid = cidOf(code, new Uint8Array(sizeBytes));
    expect(codeThrown(() => checkCid(cid))).toBe('BLOCK_CORRUPT');
    expect(codeThrown(() => verifyBlock(cid, new Uint8Array()))).toBe('BLOCK_CORRUPT');
  });

  it('takes identity up to 128 bytes', () => {
    const at = cidOf(0, new Uint8Array(128).fill(7));
    checkCid(at);
    expect(identityBytes(at)).toEqual(new Uint8Array(128).fill(7));
    verifyBlock(at, new Uint8Array(128).fill(7));
    expect(codeThrown(() => verifyBlock(at, new Uint8Array(128)))).toBe('BLOCK_CORRUPT');
    expect(codeThrown(() => checkCid(cidOf(0, new Uint8Array(129))))).toBe('BLOCK_CORRUPT');
    expect(identityBytes(cidOf(0x12, new Uint8Array(32)))).toBeUndefined();
  });
});
