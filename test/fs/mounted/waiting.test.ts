/**
 * Who waits for what does not come, through the shipped daemon: can be killed within a second in read, look-up and listing,
 * fails with the right errno when the time-out has passed, and reads as soon as the source is back.
 */
import { readFileSync } from 'node:fs';
import { CID } from 'multiformats/cid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { blockKey } from '../../../src/blocks/block.ts';
import { errnoOf, python, start, startFor } from '../../fuse/outside.ts';
import { BlockMap } from '../../support/block-map.ts';
import { startDaemon, type TestDaemon, until } from '../../support/daemon.ts';
import { DagBuilder } from '../../support/dag-builder.ts';
import { type GatewayServer, startGatewayServer } from '../../support/gateway-server.ts';
import { describeWith } from '../../support/machine.ts';

/** "Within a second of kill -9" was asked of an idle machine; this is against hangs, since ours may do other things too. */
const KILLED_WITHIN_MS = 5000;
/** Of a reader who outlives a request that its source says nothing to, and all else that a busy machine does. */
const LATE_WITHIN_MS = 60_000;

/** Reads past the page cache, so that a request has a process that waits for it. */
const DIRECT = `import os, sys, mmap
os.preadv(os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT), [mmap.mmap(-1, 4096)], 0)`;
const MAPPED = `import mmap, os, sys
print(mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 0, prot=mmap.PROT_READ)[0])`;

describeWith(['root', 'fuse'], 'whoever waits', () => {
  const blocks = new BlockMap();
  const dag = new DagBuilder(blocks);
  /** Blocks that the gateway has; of the others it says nothing at all. */
  const present = new Set<string>();
  let gateway: GatewayServer;
  let daemon: TestDaemon;
  let mounted: string;

  beforeAll(async () => {
    const parts = (seed: string) => [0, 1, 2].map((part) => dag.rawPart(Buffer.alloc(200_000, `${seed}${part}`)));
    const many = Array.from({ length: 20 }, (_, index) => ({
      name: `child-${index}`,
      cid: dag.part([dag.rawPart(Buffer.alloc(100, `${index}`))]).cid,
    }));
    const file = dag.part(parts('file'));
    const absent = dag.part(parts('absent'));
    const directory = dag.directory([{ name: 'leaf', cid: file.cid }]);
    const listed = dag.directory(many);
    const children = [
      { name: 'file', cid: file.cid },
      { name: 'absent', cid: absent.cid },
      { name: 'directory', cid: directory },
      { name: 'listed', cid: listed },
    ];
    const root = dag.directory(children);
    for (const cid of [root, file.cid, listed]) present.add(blockKey(cid));
    gateway = await startGatewayServer((request, response) => {
      const cid = CID.parse(/^\/ipfs\/(\w+)/.exec(request.url ?? '')?.[1] ?? 'bafkqaaa');
      const bytes = present.has(blockKey(cid)) ? blocks.blocks.get(blockKey(cid)) : undefined;
      if (bytes) response.writeHead(200, { 'content-type': 'application/vnd.ipld.raw' }).end(bytes);
    });
    daemon = await startDaemon({ gateways: [gateway.url], settings: { READ_TIMEOUT: '60s' } });
    mounted = await daemon.mount('waiting', root, { prefetch: 'none' });
  });
  afterAll(async () => {
    await daemon?.[Symbol.asyncDispose]();
    await gateway?.close();
  });

  test.each([
    ['cat', 'reading', ['cat'], 'file'],
    ['a direct reader', 'reading', ['python3', '-c', DIRECT], 'file'],
    ['a mapping', 'touching a page', ['python3', '-c', MAPPED], 'file'],
    ['stat', 'looking up', ['stat'], 'absent'],
    ['ls', 'looking up a directory', ['ls'], 'directory'],
    ['find', 'listing', ['find'], 'listed'],
    ['sha256sum', 'on the way', ['sha256sum'], 'directory/leaf'],
  ] as const)('%s, %s, is gone within a second of kill -9', async (_who, _where, [program, ...args], path) => {
    const reader = start(program, ...args, `${mounted}/${path}`);
    await until('it waits in the kernel', () => waits(reader.child.pid));
    const killedAt = performance.now();
    reader.child.kill('SIGKILL');
    expect((await reader.outcome).signal).toBe('SIGKILL');
    expect(performance.now() - killedAt).toBeLessThan(KILLED_WITHIN_MS);
  });

  test('who was killed in a look-up leaves no request behind', async () => {
    const { cid } = dag.part([lonely()]);
    const root = dag.directory([{ name: 'x', cid }]);
    present.add(blockKey(root));
    const other = await daemon.mount('other', root, { prefetch: 'none' });
    // Of those that were killed before there may still be requests, and more of them.
    const asked = () => gateway.requests.find(({ url }) => url.pathname === `/ipfs/${cid}`);
    const reader = start('stat', `${other}/x`);
    await until('the gateway is asked', () => asked() !== undefined);
    reader.child.kill('SIGKILL');
    expect(await asked()?.hungUp).toBe(true);
  });

  test('a time-out is ETIMEDOUT; and what comes later is read, without a restart', async () => {
    const late = dag.part([lonely(), lonely()]);
    const root = dag.directory([{ name: 'late', cid: late.cid }]);
    for (const cid of [root, late.cid]) present.add(blockKey(cid));
    const impatient = await daemon.mount('impatient', root, { timeout: '1s', prefetch: 'none' });
    expect(await errnoOf('open(p, "rb").read()', `${impatient}/late`)).toBe('ETIMEDOUT');
    expect((await daemon.status('impatient')).lastError).toMatch(/did not come within 1 s/);
    for (const key of blocks.blocks.keys()) present.add(key);
    await until('it is read', async () => (await errnoOf('len(open(p, "rb").read())', `${impatient}/late`)) === '200');
    expect((await daemon.status('impatient')).state).not.toBe('failing');
    // Of what was asked for while it said nothing, the request is over after 20 s.
    const { stdout } = await startFor(LATE_WITHIN_MS, 'cat', `${mounted}/absent`).outcome;
    expect(stdout).toHaveLength(600_000);
  });

  test('a failed read does not wait for its time-out twice, and data beside the failure is served', async () => {
    const [here, silent] = ['here', 'silent'].map((what) => dag.rawPart(Buffer.alloc(65_536, `beside ${what} `)));
    if (!here || !silent) throw new Error('two parts were made');
    const file = dag.part([here, silent]);
    for (const { cid } of [here, file]) present.add(blockKey(cid));
    present.delete(blockKey(silent.cid));
    const beside = await daemon.mount('beside', file.cid, { timeout: '5s', prefetch: 'none' });
    const begun = performance.now();
    const answers = await python(
      `f = os.open(sys.argv[1], os.O_RDONLY)
print(len(os.pread(f, 4096, 0)))
try:
  os.pread(f, 4096, 65536)
except OSError as e:
  print(errno.errorcode[e.errno])`,
      beside,
    );
    expect(answers).toBe('4096\nETIMEDOUT');
    expect(performance.now() - begun).toBeLessThan(2 * 5000);
  });

  /** A block that stands nowhere else. */
  function lonely() {
    return dag.rawPart(Buffer.alloc(100, `lonely ${blocks.blocks.size}`));
  }
});

/** True once the process sleeps in the kernel for an answer of FUSE's, or for a page that one is to bring. */
function waits(pid: number | undefined): boolean {
  const symbol = readFileSync(`/proc/${pid}/wchan`, 'utf8');
  return /fuse|request_wait_answer|folio_wait|filemap/.test(symbol);
}
