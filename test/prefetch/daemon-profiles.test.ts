/** Boot profiles over two real daemons with nothing in common but a gateway, or nothing but a file. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CarStream } from '../../src/blocks/car-stream.ts';
import { addTree, type RootFiles } from '../../src/cli/add/add-tree.ts';
import { emitProfileFiles } from '../../src/cli/add/profile-files.ts';
import { decodeProfile } from '../../src/prefetch/boot-profile.ts';
import { SHIPPED_ENTRIES, START_ENTRY } from '../../src/prefetch/shipped-profile.ts';
import { cidOf } from '../../src/unixfs/content-key.ts';
import { type BlockGateway, startBlockGateway } from '../support/block-gateway.ts';
import { BlockMap } from '../support/block-map.ts';
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts';
import { startGatewayServer } from '../support/gateway-server.ts';
import { startKubo } from '../support/kubo.ts';
import { logged } from '../support/logged.ts';
import { describeWith } from '../support/machine.ts';

const CLI = new URL('../../dist/cli.js', import.meta.url).pathname;
const DEADLINE_MS = 30_000;
const run = promisify(execFile);
/** What the container reads, in this order, of 40 files. */
const READ = ['d3/file7', 'd0/file2', 'd1/file9'];

describeWith(['root', 'fuse', 'kubo'], 'boot profiles between hosts', () => {
  let directory: string;
  let tree: string;
  let gateway: BlockGateway;
  const blocks = new BlockMap();

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'profiles-'));
    tree = join(directory, 'tree');
    for (const d of [0, 1, 2, 3]) {
      await mkdir(join(tree, `d${d}`), { recursive: true });
      for (let file = 0; file < 10; file++) {
        await writeFile(join(tree, `d${d}`, `file${file}`), `${d} ${file} `.repeat(5000));
      }
    }
    gateway = await startBlockGateway(blocks);
  });

  afterEach(async () => {
    await gateway[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  async function ipfsVolume(daemon: TestDaemon, ...args: string[]): Promise<string> {
    const [command = '', ...rest] = args;
    const words = command.split(' ');
    const all = [CLI, ...words, '--socket', daemon.socketPath, ...rest];
    return (await run(process.execPath, all, { timeout: DEADLINE_MS })).stdout.trim();
  }

  async function readFirst(mountpoint: string): Promise<void> {
    for (const path of READ) await run('cat', [join(mountpoint, path)], { timeout: DEADLINE_MS, maxBuffer: 1e7 });
  }

  async function complete(daemon: TestDaemon): Promise<Awaited<ReturnType<TestDaemon['status']>>> {
    await until('all is here', async () => (await daemon.status('v')).state === 'complete');
    return daemon.status('v');
  }

  /** All of the blocks that the profile names came before any other file's. */
  function expectProfileFirst(profile: readonly string[], leaves: readonly string[]): void {
    const order = gateway.asked;
    const wanted = leaves.filter((cid) => profile.includes(cid));
    expect(wanted).toHaveLength(READ.length);
    const others = leaves.filter((cid) => !profile.includes(cid));
    const lastWanted = Math.max(...wanted.map((cid) => order.indexOf(cid)));
    expect(lastWanted).toBeLessThan(Math.min(...others.map((cid) => order.indexOf(cid))));
    expect(wanted.every((cid) => order.includes(cid))).toBe(true);
  }

  it('go along with the content, by name of a CID, or as a file', async () => {
    await using first = await startDaemon();
    const bare = await ipfsVolume(first, 'add', '--no-metadata', tree);
    await readFirst(await first.mount('v', bare));
    await first.call('Unmount', { Name: 'v', ID: 'v' });
    expect(await logged(first, 'start-up complete')).toMatchObject({ volume: 'v', endedBy: 'unmount' });
    const exported = join(directory, 'profile.json');
    await ipfsVolume(first, 'profile export', 'v', exported);
    const recorded = JSON.parse(await ipfsVolume(first, 'profile export', 'v')) as { blocks: string[]; root: string };
    expect(recorded.root).toBe(bare);

    // With the content: another root, which any new host may mount.
    const shipped = await ipfsVolume(first, 'add', '--no-metadata', '--profile', tree);
    expect(shipped).not.toBe(bare);
    const profileCid = await ipfsVolume(first, 'add', '--no-metadata', exported);
    const leaves: string[] = [];
    const publish = async (path: string, withProfile: boolean): Promise<string> => {
      const { cid } = await addTree(path, (block) => void blocks.put(block.cid, block.bytes), {
        keepMetadata: false,
        rootFiles: withProfile ? { names: SHIPPED_ENTRIES, emitFor } : undefined,
      });
      return cid.toString();
    };
    const emitFor: RootFiles['emitFor'] = (_root, sizesOf, emit) =>
      emitProfileFiles(decodeProfile(JSON.stringify(recorded)), sizesOf, emit);
    expect(await publish(tree, true)).toBe(shipped);
    expect(await publish(tree, false)).toBe(bare);
    expect(await publish(exported, false)).toBe(profileCid);
    for (const d of [0, 1, 2, 3]) {
      for (let file = 0; file < 10; file++) {
        const { cid } = await addTree(join(tree, `d${d}`, `file${file}`), () => undefined, { keepMetadata: false });
        leaves.push(cid.toString());
      }
    }

    await using second = await startDaemon({ gateways: [gateway.url] });
    const mountpoint = await second.mount('v', shipped);
    expect((await complete(second)).profile).toMatch(/^\d+ blocks of 1 run, shipped$/);
    expectProfileFirst(recorded.blocks, leaves);
    await readFirst(mountpoint);
    await second.remove('v');
    expect(await logged(second, 'start-up complete')).toMatchObject({ profileHitShare: 1 });

    // By its CID: the content keeps its own.
    await using third = await startDaemon({ gateways: [gateway.url] });
    gateway.asked.length = 0;
    const byName = await third.mount('v', bare, { profile: profileCid });
    expect((await complete(third)).profile).toMatch(/, named$/);
    expectProfileFirst(recorded.blocks, leaves);
    // What a start recorded so far outlives a daemon that is replaced in its middle.
    await readFirst(byName);
    process.kill(third.pid, 'SIGHUP');
    expect(await logged(third, 'start-up complete')).toMatchObject({ volume: 'v', profileHitShare: 1 });
    expect(await ipfsVolume(third, 'profile show')).toMatch(new RegExp(`${bare} +${bare} +\\d+ +2`));

    // As a file, under a name; one that is of other content is ignored, and said so.
    await using fourth = await startDaemon({ gateways: [gateway.url] });
    gateway.asked.length = 0;
    expect(await ipfsVolume(fourth, 'profile import', exported, '--name', 'web-start')).toMatch(/^web-start: /);
    expect(await ipfsVolume(fourth, 'profile show')).toContain('web-start');
    await fourth.mount('v', bare, { profile: 'web-start' });
    expect((await complete(fourth)).profile).toMatch(/, named$/);
    expectProfileFirst(recorded.blocks, leaves);
    const sub = await addTree(join(tree, 'd2'), () => undefined, { keepMetadata: false });
    await fourth.mount('sub', sub.cid, { profile: 'web-start' });
    await until('the profile was looked for', async () => (await fourth.status('sub')).profile !== null);
    expect((await fourth.status('sub')).profile).toBe(
      `ignored the profile "web-start": it is of ${bare}, not of this root`,
    );
    expect(await logged(fourth, 'a boot profile is ignored')).toMatchObject({ volume: 'sub' });
  });

  it("come in a few answers of Kubo's gateway", async () => {
    await using first = await startDaemon();
    const bare = await ipfsVolume(first, 'add', '--no-metadata', tree);
    await readFirst(await first.mount('v', bare));
    await first.call('Unmount', { Name: 'v', ID: 'v' });
    await logged(first, 'start-up complete');
    const recorded = decodeProfile(await ipfsVolume(first, 'profile export', 'v'));
    const car = new CarStream();
    const sent = buffer(car);
    const { cid } = await addTree(tree, (block) => car.write(block), {
      keepMetadata: false,
      rootFiles: {
        names: SHIPPED_ENTRIES,
        emitFor: (_, sizesOf, emit) => emitProfileFiles(recorded, sizesOf, emit),
      },
    });
    car.end();
    const kubo = await startKubo({ offline: true });
    await using stack = new AsyncDisposableStack();
    stack.defer(() => kubo.stop());
    await kubo.run(['dag', 'import', '--silent'], await sent);
    const relay = await startGatewayServer((request, response) => {
      void fetch(`${kubo.gatewayUrl}${request.url}`).then(async (answer) => {
        response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
        response.end(Buffer.from(await answer.arrayBuffer()));
      });
    });
    stack.defer(() => relay.close());

    await using second = await startDaemon({ gateways: [relay.url] });
    const mountpoint = await second.mount('v', cid);
    await complete(second);
    await readFirst(mountpoint);
    // All but the root, which is another one now.
    const named = [...recorded.blocks.keys()].map((key) => cidOf(key).toString()).filter((each) => each !== bare);
    const asked = relay.requests.map(({ url }) => url);
    const singly = asked
      .filter(({ searchParams }) => searchParams.get('format') === 'raw')
      .map(({ pathname }) => pathname);
    expect(singly.length).toBeGreaterThan(2);
    expect(singly.filter((path) => named.some((each) => path.endsWith(each)))).toEqual([]);
    const together = asked.filter(({ searchParams }) => searchParams.get('format') === 'car');
    expect(together.map(({ pathname }) => pathname)).toEqual(SHIPPED_ENTRIES.map((name) => `/ipfs/${cid}/${name}`));
    // What Kubo takes for a file of its own holds the same blocks, and nothing twice.
    const start = await kubo.run(['cat', `${cid}/${START_ENTRY}`]);
    const whole = await Promise.all(named.map((each) => kubo.run(['block', 'get', each])));
    expect(Buffer.compare(start, Buffer.concat(whole))).toBe(0);
  });
});
