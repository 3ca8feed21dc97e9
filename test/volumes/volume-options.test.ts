import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codeOf } from '../../src/base/errors.ts';
import { differences, parseVolumeOptions } from '../../src/volumes/volume-options.ts';

const CID = 'bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku';
const DEFAULTS = { prefetch: 'auto', timeoutMs: 60_000 } as const;
const parse = (options: Record<string, string>, name = 'data') => parseVolumeOptions(name, options, DEFAULTS);

describe('volume options', () => {
  test('defaults', () => {
    expect(parse({ cid: CID })).toMatchObject({
      prefetch: 'auto',
      fileMode: 0o444,
      dirMode: 0o555,
      uid: 0,
      gid: 0,
      peers: [],
      timeoutMs: 60_000,
      profile: undefined,
      pin: false,
    });
  });

  test('every option', () => {
    const options = {
      path: `/ipfs/${CID}/sub`,
      prefetch: 'all',
      'file-mode': '0640',
      'dir-mode': '0750',
      uid: '1000',
      gid: '4294967294',
      peers: '/ip4/10.0.0.1/tcp/4001/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5,/dns4/a.example/tcp/4001',
      timeout: '5s',
      profile: 'boot-1',
      pin: 'true',
    };
    expect(parse(options)).toMatchObject({
      prefetch: 'all',
      fileMode: 0o640,
      dirMode: 0o750,
      uid: 1000,
      gid: 4_294_967_294,
      timeoutMs: 5000,
      profile: 'boot-1',
      pin: true,
      peers: { length: 2 },
    });
  });

  test('no option: the name is the reference', () => {
    expect(parseVolumeOptions(`${CID}/a`, {}, DEFAULTS).reference).toMatchObject({ space: 'ipfs', path: ['a'] });
  });

  test.each([
    [{ cid: CID, colour: 'red' }, /unknown option "colour"; the options are cid, path/],
    [{ cid: CID, path: `/ipfs/${CID}` }, /"cid" and "path" contradict/],
    [{ cid: CID, pin: 'true', prefetch: 'none' }, /"pin=true" and "prefetch=none" contradict/],
    [{ cid: `/ipfs/${CID}` }, /option cid=.*use path=/],
    [{ path: CID }, /option path=.*takes \/ipfs/],
    [{ cid: CID, 'file-mode': '888' }, /option file-mode=888.*octal/],
    [{ cid: CID, 'file-mode': '4755' }, /octal/],
    [
      { cid: CID, 'dir-mode': '365' },
      /option dir-mode=365.*begin with a 0, such as 0444 \(in YAML in quotes: "0444"\)/,
    ],
    [{ cid: CID, uid: '-1' }, /option uid=-1/],
    [{ cid: CID, gid: '4294967295' }, /option gid=/],
    [{ cid: CID, timeout: 'soon' }, /option timeout=soon.*60s/],
    [{ cid: CID, timeout: '0s' }, /option timeout=0s.*must be more than 0/],
    [{ cid: CID, peers: 'nonsense' }, /option peers=nonsense.*such as \/ip4/],
    [{ cid: CID, peers: '1.2.3.4' }, /option peers=1.2.3.4.*such as \/ip4/],
    [{ cid: CID, peers: '' }, /option peers= .*such as \/ip4/],
    [{ cid: CID, peers: '/ip4/10.0.0.1/tcp/4001,' }, /option peers=.*such as \/ip4/],
    [{ cid: CID, profile: '../x' }, /option profile=/],
    [{ cid: CID, pin: 'yes' }, /true or false/],
    [{ cid: 'nonsense' }, /option cid=nonsense/],
    [{ constructor: 'x' }, /unknown option "constructor"/],
  ])('refused: %j', (options, reason) => {
    expect(() => parse(options as unknown as Record<string, string>)).toThrow(reason);
  });

  test('an anonymous volume says what to do', () => {
    expect(() => parseVolumeOptions('0'.repeat(64), {}, DEFAULTS)).toThrow(/anonymous.*--mount type=volume/s);
  });

  test('a name that is no reference says so', () => {
    expect(() => parse({})).toThrow('the volume "data" has neither the option cid= nor path=');
  });

  test('any options parse or give a CodedError', () => {
    const keys = fc.constantFrom(
      'cid',
      'path',
      'prefetch',
      'uid',
      'peers',
      'timeout',
      'profile',
      'pin',
      'dir-mode',
      'zz',
    );
    fc.assert(
      fc.property(fc.string(), fc.dictionary(keys, fc.string()), (name, options) => {
        try {
          parseVolumeOptions(name, options, DEFAULTS);
        } catch (error) {
          expect(['OPTION_INVALID', 'REFERENCE_INVALID']).toContain(codeOf(error));
        }
      }),
    );
  });
});

test('differences name what was and what is', () => {
  expect(differences({ cid: 'a', uid: '1' }, { cid: 'b', gid: '2' })).toBe(
    'cid was a and is now b; uid was 1 and is now not given; gid was not given and is now 2',
  );
  expect(differences({ cid: 'a' }, { cid: 'a' })).toBe('');
});
