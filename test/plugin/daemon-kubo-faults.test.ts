/**
 * A real Kubo, by its RPC and by its gateway, stopped, paused, slowed down, cut in mid-block and brought back under a real
 * daemon's readers. It is reached through a relay of ours, which slows and cuts, and keeps its port while Kubo is away.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../fuse/outside.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type KuboNode, startKubo } from '../support/kubo.ts';
import { describeWith } from '../support/machine.ts';
import { read, sha256 } from '../support/reading.ts';
import { startTcpRelay, type TcpRelay } from '../support/tcp-relay.ts';

/** Twice what a source that was down is left alone for at the most: a probe may just have missed its return. */
const TIMEOUT_MS = 5000;
/** Beyond the time-out, for a machine that does other things too. Against hangs, not a measure. */
const GRACE_MS = 5000;
/** Four blocks of Kubo's default chunker. */
const FILE_BYTES = 1024 * 1024;
/** The sha2-256 of "nobody has this block\n", as a dag-pb block. */
const ABSENT = 'bafybeicvjbgr4jsg6fhaetkdqq6l7wgbuzowadqli3jwfgtuwg7zun4wsy';

const report: string[] = [];

describeWith(['root', 'fuse', 'kubo'], 'a Kubo node that misbehaves', () => {
  afterAll(() => console.log(report.join('\n')));

  describe.each(['rpc', 'gateway'] as const)('by its %s', (kind) => {
    let directory: string;
    let kubo: KuboNode;
    let relay: TcpRelay;
    let daemon: TestDaemon;
    let mountpoint: string;
    const files = new Map<string, string>();
    let fresh = 0;

    const portOf = () => Number(new URL(kind === 'rpc' ? kubo.rpcUrl : kubo.gatewayUrl).port);
    const nextFile = () => `file${fresh++}`;
    const readNext = async () => {
      const name = nextFile();
      return { ...(await read(join(mountpoint, name))), due: files.get(name) };
    };

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'kubo-faults-'));
      for (let index = 0; index < 20; index++) {
        const bytes = randomBytes(FILE_BYTES);
        files.set(`file${index}`, sha256(bytes));
        await writeFile(join(directory, `file${index}`), bytes);
      }
      kubo = await startKubo();
      const root = (await kubo.line(['add', '-Qr', '--cid-version=1', '--chunker=size-262144', directory])).trim();
      relay = await startTcpRelay(portOf());
      daemon = await startDaemon({
        ...(kind === 'rpc' ? { kuboRpc: relay.url } : { gateways: [relay.url] }),
        settings: { READ_TIMEOUT: `${TIMEOUT_MS}ms`, PREFETCH: 'none' },
      });
      mountpoint = await daemon.mount('data', root);
      // What a file is, and how large, is known from here on: the blocks of its bytes alone are absent.
      expect((await run('stat', ...[...files.keys()].map((name) => join(mountpoint, name)))).code).toBe(0);
    });

    afterAll(async () => {
      await daemon?.[Symbol.asyncDispose]();
      await relay?.[Symbol.asyncDispose]();
      await kubo?.stop();
      await rm(directory, { recursive: true, force: true });
    });

    const away: Record<string, { begin: () => Promise<void> | void; end: () => Promise<void> | void }> = {
      stopped: {
        begin: () => kubo.halt(),
        end: async () => {
          await kubo.restart();
          relay.lead(portOf());
        },
      },
      paused: { begin: () => kubo.pause(), end: () => kubo.resume() },
      'cut in mid-block': {
        begin: () => relay.behave({ cutAfterBytes: 100_000 }),
        end: () => relay.behave('pass'),
      },
    };

    it.each(Object.keys(away))('%s, and back', async (name) => {
      const fault = away[name];
      await fault?.begin();
      const before = relay.connections;
      const startedAt = performance.now();
      const waiting = Promise.all([readNext(), readNext(), readNext()]);
      const callMs = await longestCall(daemon);
      const readings = await waiting;
      const tookMs = performance.now() - startedAt;
      expect(readings.map(({ result }) => result)).toEqual(readings.map(() => 'Connection timed out'));
      expect(tookMs).toBeGreaterThan(TIMEOUT_MS * 0.9);
      expect(tookMs).toBeLessThan(TIMEOUT_MS + GRACE_MS);
      expect(callMs).toBeLessThan(TIMEOUT_MS * 0.9);
      expect((await daemon.status('data')).state).toBe('failing');
      // 12 blocks and their ranges, each again after pauses that double: no storm.
      expect(relay.connections - before).toBeLessThan(120);
      const asked = relay.connections - before;

      await fault?.end();
      const back = await readNext();
      expect(back.result).toBe(back.due);
      expect((await daemon.status('data')).state).toBe('mounted');
      report.push(
        `${kind} ${name}: 3 readers failed after ${Math.round(tookMs)} ms, ${asked} connections meanwhile, ` +
          `calls took ${Math.round(callMs)} ms at most; back, 1 MiB took ${Math.round(back.tookMs)} ms`,
      );
    });

    it('slowed down, reads are slow and right', async () => {
      relay.behave({ bytesPerSecond: 300_000 });
      const { result, due, tookMs } = await readNext();
      expect(result).toBe(due);
      relay.behave('pass');
      report.push(`${kind} slowed to 300 KB/s a connection: 1 MiB took ${Math.round(tookMs)} ms`);
    });

    it('that searches for what nobody has serves everything else meanwhile', async () => {
      const hopeless = daemon
        .mount('hopeless', ABSENT)
        .then(() => 'mounted')
        .catch((error: Error) => error.message);
      const { result, due } = await readNext();
      expect(result).toBe(due);
      expect(await longestCall(daemon)).toBeLessThan(TIMEOUT_MS * 0.9);
      expect(await hopeless).toMatch(/did not come within 5 s \(.*no answer yet\)/);
    });
  });
});

/** A round of the calls that must not wait for a source: the longest. */
async function longestCall(daemon: TestDaemon): Promise<number> {
  let longestMs = 0;
  const timed = async (verb: string, body: object) => {
    const startedAt = performance.now();
    await daemon.call(verb, body);
    longestMs = Math.max(longestMs, performance.now() - startedAt);
  };
  await timed('Get', { Name: 'data' });
  await timed('List', {});
  await timed('Mount', { Name: 'data', ID: 'again' });
  await timed('Unmount', { Name: 'data', ID: 'again' });
  await timed('Create', { Name: 'new', Opts: { cid: 'bafkqaaa', pin: 'true' } });
  await timed('Mount', { Name: 'new', ID: 'new' });
  await timed('Unmount', { Name: 'new', ID: 'new' });
  await timed('Remove', { Name: 'new' });
  return longestMs;
}
