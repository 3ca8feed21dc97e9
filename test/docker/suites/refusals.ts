/** What is refused, and how it reads in `docker run`: one clear reason, and nothing left that counts. */
import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import { describe, expect, test } from 'vitest';
import { cidOfBytes, DAG_CBOR, RAW } from '../../support/dag-builder.ts';
import { type Bench, PLUGIN, volume } from '../support/bench.ts';
import { IMAGE } from '../support/engine.ts';

/** Of the right length, and of a hash function that is broken. */
const SHA1_CID = CID.createV1(RAW, create(0x11, new Uint8Array(20))).toString();

export function refusals(bench: Bench): void {
  const { engine } = bench;
  const run = (...mounts: string[]) => engine.refusal('run', '--rm', '--network', 'none', ...mounts, IMAGE, 'true');
  const mount = (...options: string[]) => [
    '--mount',
    [
      `type=volume,volume-driver=${PLUGIN},source=refused,dst=/data`,
      ...options.map((option) => `volume-opt=${option}`),
    ].join(),
  ];
  const names = () => engine.ok('volume', 'ls', '--quiet');

  describe('docker run says why it refuses', () => {
    test.each([
      [
        'an unknown option',
        (cid: string) => mount(`cid=${cid}`, 'speed=9'),
        /unknown option "speed"; the options are cid, /,
      ],
      ['no reference', () => mount('uid=5'), /"refused" has neither the option cid= nor path=/],
      [
        'a contradiction',
        (cid: string) => mount(`cid=${cid}`, `path=/ipfs/${cid}`),
        /"cid" and "path" contradict each other/,
      ],
      [
        'a value that cannot be',
        (cid: string) => mount(`cid=${cid}`, 'file-mode=rw'),
        /option file-mode=rw cannot be used: /,
      ],
      ['a CID that does not parse', () => volume('bafynonsense'), /"bafynonsense" is not a CID/],
      ['a hash nobody should trust', () => volume(SHA1_CID), /is not a CID|cannot be used/],
    ])('%s', async (_what, mounts, reason) => {
      expect(await run(...mounts(bench.sampleCid))).toMatch(reason);
      expect(await names()).toBe('');
    });

    test('an anonymous volume of an image’s own VOLUME', async () => {
      const container = await engine.ok('create', IMAGE, 'true');
      await engine.ok('commit', '--change', 'VOLUME /cache', container, 'with-volume');
      const flags = ['--rm', '--network', 'none', ...volume(bench.sampleCid)];
      expect(await engine.refusal('run', ...flags, 'with-volume', 'true')).toMatch(
        /the volume "[0-9a-f]{64}" is anonymous and names no content: .* give that path a volume of its own/,
      );
      // As the message says: --mount leaves the image's own volumes to the engine.
      await engine.ok('run', '--rm', '--network', 'none', ...mount(`cid=${bench.sampleCid}`), 'with-volume', 'true');
      await engine.ok('rm', container);
      await engine.ok('volume', 'rm', 'refused');
      await engine.docker('volume', 'rm', bench.sampleCid);
      await engine.ok('image', 'rm', 'with-volume');
      expect(await names()).toBe('');
    });

    test('a root that is no UnixFS, a path that is not in it, content that nobody has', async () => {
      const foreign = bench.dag.block(DAG_CBOR, Buffer.from([0xa0])).toString();
      const nowhere = `${bench.sampleCid}/docs/nowhere`;
      const symlink = `${bench.sampleCid}/note`;
      const absent = cidOfBytes(RAW, Buffer.from('nobody has this')).toString();
      const reasons: readonly (readonly [string, RegExp])[] = [
        [foreign, /dag-cbor|not UnixFS|codec/i],
        [nowhere, /nowhere/],
        [symlink, /is a symlink; give the CID or path of a file or directory/],
        [absent, /no source has/],
      ];
      for (const [name, reason] of reasons) {
        expect(await run(...volume(name))).toMatch(reason);
        // No Unmount follows a failed Mount, so nothing may have been counted.
        expect(await engine.status(name)).toMatchObject({
          state: 'failing',
          mounts: 0,
          lastError: expect.stringMatching(reason),
        });
        await engine.ok('volume', 'rm', name);
      }
    });

    test('the same name with other options', async () => {
      await engine.ok('volume', 'create', '--driver', PLUGIN, '--opt', `cid=${bench.sampleCid}`, 'data');
      // The engine itself knows the volume, and sends no second Create: what it says is its own.
      const again = await engine.docker('volume', 'create', '--driver', PLUGIN, '--opt', 'cid=bafkqaaa', 'data');
      expect((await engine.status('data')).options).toEqual({ cid: bench.sampleCid });
      expect(again.stdout.trim() === 'data' || /exists/.test(again.stderr)).toBe(true);
      await engine.ok('volume', 'rm', 'data');
    });
  });
}
