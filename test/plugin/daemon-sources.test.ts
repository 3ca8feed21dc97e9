/**
 * Gateways that misbehave, each in its own way, before a real daemon and its mount: readers wait up to their time-out and
 * fail with the right errno, everything else goes on meanwhile, and reads work again as soon as the gateway does.
 *
 * Each fault has a daemon of its own with two gateways: the first, preferred, has the volume `data` and turns bad; the
 * second has the volume `other` and stays well. `both` have the third.
 */
import { writeFileSync } from 'node:fs';
import { CID } from 'multiformats/cid';
import { afterAll, expect, it } from 'vitest';
import { blockKey } from '../../src/blocks/block.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { importCar } from '../fs/mounted/support/command-line.ts';
import { startFor } from '../fuse/outside.ts';
import { BlockMap } from '../support/block-map.ts';
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import {
  type Behaviour,
  blocksOf,
  cut,
  drip,
  endless,
  raw,
  silent,
  stalled,
  startGatewayServer,
  status,
} from '../support/gateway-server.ts';
import { describeWith } from '../support/machine.ts';
import { carV1 } from '../support/make-car.ts';
import { read, sha256 } from '../support/reading.ts';

const TIMEOUT_MS = 3000;
/** Beyond the time-out, for a machine that does other things too. Against hangs, not a measure. */
const GRACE_MS = 5000;
const FILE_BYTES = 300_000;
/** Too large to be read ahead with its siblings, so that what is cold stays cold until it is read. */
const COLD_FILE_BYTES = 1_100_000;

const TIMED_OUT = 'Connection timed out';
const IO_ERROR = 'Input/output error';

const COLD = ['file1', 'file2', 'file3', 'file4'];

/**
 * Requests to the bad gateway while readers wait: for each of the five blocks it has, one at once and one after each
 * pause, which double from 100 ms, so seven in three seconds; and one for each of the thirty that only the other has.
 */
const MOST_REQUESTS = (COLD.length + 1) * 8 + 30;

interface Fault {
  readonly name: string;
  readonly behaviour: Behaviour | 'refuse';
  readonly errno: typeof TIMED_OUT | typeof IO_ERROR;
  /** In the volume's `lastError`. */
  readonly says: RegExp;
  /** The gateway's in the daemon's status; a silent one may be well, and searching. */
  readonly state: 'good' | 'failing';
  /** Whether it is asked after the others from then on. */
  readonly demoted: boolean;
}

const silence = { errno: TIMED_OUT, says: /no answer yet/, state: 'good', demoted: true } as const;
const failure = { errno: TIMED_OUT, state: 'failing', demoted: true } as const;
const lie = { errno: IO_ERROR, state: 'failing', demoted: true } as const;

const FAULTS: readonly Fault[] = [
  { name: 'refuses connections', behaviour: 'refuse', ...failure, says: /refused the connection/ },
  {
    name: 'answers 404',
    behaviour: status(404),
    errno: IO_ERROR,
    says: /no source has block .* \(404\)/,
    state: 'good',
    demoted: false,
  },
  { name: 'answers 500', behaviour: status(500), ...failure, says: /answers 500/ },
  {
    name: 'answers with a web page',
    behaviour: status(200, { 'content-type': 'text/html' }, '<html>'),
    ...failure,
    says: /text\/html: it serves no trustless content/,
  },
  { name: 'cuts in mid-block', behaviour: cut, ...failure, says: /cut the connection/ },
  {
    name: 'redirects elsewhere',
    behaviour: status(302, { location: 'http://127.0.0.1:9/elsewhere' }),
    ...failure,
    says: /which is not followed/,
  },
  { name: 'says nothing', behaviour: silent, ...silence },
  { name: 'stops in mid-block', behaviour: stalled, ...silence },
  { name: 'drips', behaviour: drip, ...silence },
  { name: 'sends other bytes', behaviour: raw(Buffer.alloc(FILE_BYTES, 'lies')), ...lie, says: /do not match it/ },
  { name: 'sends without end', behaviour: endless(), ...lie, says: /sends more than/ },
];

interface Volume {
  readonly root: string;
  readonly names: readonly string[];
  /** SHA-256 by name. */
  readonly files: Readonly<Record<string, string>>;
}

/** A directory of raw files, whose sizes their links tell: nothing but reading one needs its block. */
function volumeOf(dag: DagBuilder, label: string, count: number, fileBytes = FILE_BYTES): Volume {
  const names = Array.from({ length: count }, (_, index) => `file${index}`);
  const files: Record<string, string> = {};
  const children = names.map((name) => {
    const bytes = Buffer.alloc(fileBytes, `${label}/${name} `);
    files[name] = sha256(bytes);
    return { name, cid: dag.raw(bytes), tsize: bytes.length };
  });
  return { root: dag.directory(children).toString(), names, files };
}

const report: string[] = [];

describeWith(['root', 'fuse'], 'gateways that misbehave', () => {
  afterAll(() => console.log(report.join('\n')));

  it.concurrent.each(FAULTS)('$name', async (fault) => {
    const { behaviour, errno, says } = fault;
    const bad = new DagBuilder(new BlockMap());
    const well = new DagBuilder(new BlockMap());
    const data = volumeOf(bad, 'data', 6, COLD_FILE_BYTES);
    const unknown = volumeOf(bad, 'unknown', 1, COLD_FILE_BYTES);
    const both = volumeOf(bad, 'both', 30);
    volumeOf(well, 'both', 30);
    const other = volumeOf(well, 'other', 30);

    await using servers = new AsyncDisposableStack();
    let first = await startGatewayServer(blocksOf(bad.blocks));
    servers.defer(() => first.close());
    const second = await startGatewayServer(blocksOf(well.blocks));
    servers.defer(() => second.close());
    await using daemon = await startDaemon({
      gateways: [first.url, second.url],
      settings: { READ_TIMEOUT: `${TIMEOUT_MS}ms`, PREFETCH: 'none' },
    });
    const at = {
      data: await daemon.mount('data', data.root),
      // Nodes of its own: its reads reach the daemon, and find their blocks there.
      local: await daemon.mount('local', data.root, { uid: '1' }),
      both: await daemon.mount('both', both.root),
      other: await daemon.mount('other', other.root),
    };
    await daemon.mount('known', data.root);
    await daemon.call('Unmount', { Name: 'known', ID: 'known' });
    await daemon.create('unknown', unknown.root);
    expect((await read(`${at.data}/file0`)).result).toBe(data.files.file0);

    if (behaviour === 'refuse') await first.close();
    else first.behave(behaviour);
    const atFirst = first.requests.length;
    const cold = Promise.all(COLD.map((name) => read(`${at.data}/${name}`)));
    const mount = daemon.call('Mount', { Name: 'unknown', ID: 'unknown' }).then(
      () => 'mounted',
      (error: Error) => error.message,
    );
    const calls = callsUntil(daemon, Promise.all([cold, mount]));
    const local = await read(`${at.local}/file0`);
    const others = await readAll(at.other, other);
    const readings = await cold;
    const longestCallMs = await calls;
    const asked = first.requests.length - atFirst;

    // The readers: as long as they were promised, and with the right error.
    expect(readings.map(({ result }) => result)).toEqual(COLD.map(() => errno));
    const waited = readings.map(({ tookMs }) => tookMs);
    expect(Math.max(...waited)).toBeLessThan(TIMEOUT_MS + GRACE_MS);
    if (errno === TIMED_OUT) expect(Math.min(...waited)).toBeGreaterThan(TIMEOUT_MS * 0.9);
    expect(await mount).toMatch(says);
    const failing = { state: 'failing', lastError: expect.stringMatching(says) };
    expect(await daemon.status('data')).toMatchObject(failing);
    // Everybody else: nobody waits for a time-out that is not his.
    expect(local.result).toBe(data.files.file0);
    for (const tookMs of [local.tookMs, longestCallMs, ...others]) expect(tookMs).toBeLessThan(TIMEOUT_MS * 0.9);

    // What both have comes from the one that is well, and the other is hardly asked. A good answer "no" is no fault.
    const beforeBoth = first.requests.length;
    const detours = await readAll(at.both, both);
    const askedInVain = first.requests.length - beforeBoth;
    if (fault.demoted) expect(askedInVain).toBeLessThan(both.names.length / 2);
    await using client = daemon.client();
    expect((await client.status()).sources[0]?.state).toBe(fault.state);
    expect(asked).toBeLessThan(MOST_REQUESTS);

    if (behaviour === 'refuse') first = await startGatewayServer(blocksOf(bad.blocks), first.port);
    else first.behave(blocksOf(bad.blocks));
    const back = await read(`${at.data}/file5`);
    expect(back.result).toBe(data.files.file5);
    for (const name of COLD) expect((await read(`${at.data}/${name}`)).result).toBe(data.files[name]);
    expect(await daemon.call('Mount', { Name: 'unknown', ID: 'unknown' })).toHaveProperty('Mountpoint');

    report.push(
      `${fault.name}: ${COLD.length} readers failed after ${range(waited)} ms, ${asked} requests meanwhile; ` +
        `others read in ${range(others)} ms, calls took ${Math.round(longestCallMs)} ms at most; ` +
        `${both.names.length} files with a detour in ${range(detours)} ms, ${askedInVain} requests; ` +
        `back, a read took ${Math.round(back.tookMs)} ms`,
    );
  });
});

/** Reads one byte of each file in a thread of its own; says so once all of them wait, and then how they ended. */
const MANY_READERS = `
import errno, os, sys, threading
count = int(sys.argv[2])
ends = []
def read(i):
    try:
        ends.append(os.read(os.open(f"{sys.argv[1]}/file{i}", os.O_RDONLY), 1))
    except OSError as error:
        ends.append(errno.errorcode[error.errno])
threads = [threading.Thread(target=read, args=(i,)) for i in range(count)]
for t in threads: t.start()
for t in threads: t.join()
print(len(ends), *sorted(set(map(str, ends))))`;

describeWith(['root', 'fuse'], 'a gateway that searches for a thousand blocks', () => {
  const SEARCHED = 1000;

  it('serves everybody else meanwhile', async () => {
    const absent = new DagBuilder(new BlockMap());
    const hopeless = volumeOf(absent, 'hopeless', SEARCHED, 100);
    const there = new DagBuilder(new BlockMap());
    const fine = volumeOf(there, 'fine', 30);
    // The directory alone is there; of what is searched for, nothing is ever said.
    const root = CID.parse(hopeless.root);
    there.blocks.put(root, absent.blocks.get(root, { priority: 'demand' }) as Uint8Array);
    const good = blocksOf(there.blocks);
    const searched = new Set(absent.blocks.blocks.keys());
    await using servers = new AsyncDisposableStack();
    const gateway = await startGatewayServer((request, response) => {
      const cid = /^\/ipfs\/(\w+)/.exec(request.url ?? '')?.[1] as string;
      if (cid !== hopeless.root && searched.has(blockKey(CID.parse(cid)))) return;
      good(request, response);
    });
    servers.defer(() => gateway.close());
    await using daemon = await startDaemon({ gateways: [gateway.url], settings: { PREFETCH: 'none' } });
    const at = {
      hopeless: await daemon.mount('hopeless', hopeless.root, { timeout: '10s' }),
      fine: await daemon.mount('fine', fine.root),
    };
    const before = daemon.footprint();
    const startedAt = performance.now();
    const waiting = startFor(60_000, 'python3', '-c', MANY_READERS, at.hopeless, String(SEARCHED)).outcome;
    await until('all of them are searched for', () => gateway.requests.length > SEARCHED);
    const times = await readAll(at.fine, fine);
    const longestCallMs = await callsUntil(daemon, Promise.resolve(), 'fine');
    expect((await waiting).stdout.toString()).toBe(`${SEARCHED} ETIMEDOUT\n`);
    const waitedMs = performance.now() - startedAt;
    // Nobody had to wait until the thousand gave up, nor they for longer than they were promised.
    expect(waitedMs).toBeLessThan(10_000 + GRACE_MS);
    expect(Math.max(...times, longestCallMs)).toBeLessThan(5000);
    await until('its sockets are given back', () => daemon.footprint().descriptors < before.descriptors + 50);
    report.push(
      `${SEARCHED} readers of what is searched for failed after ${Math.round(waitedMs)} ms: others read in ${range(times)} ms, calls took ${Math.round(longestCallMs)} ms at most`,
    );
    console.log(report.at(-1));
  });
});

describeWith(['root', 'fuse'], 'content that is imported while readers wait for it', () => {
  it('is theirs at once, although the only source says nothing', async () => {
    const dag = new DagBuilder(new BlockMap());
    const volume = volumeOf(dag, 'late', 2);
    const good = blocksOf(dag.blocks);
    await using servers = new AsyncDisposableStack();
    const gateway = await startGatewayServer((request, response) => {
      if (request.url?.includes(volume.root)) good(request, response);
    });
    servers.defer(() => gateway.close());
    await using daemon = await startDaemon({ gateways: [gateway.url], settings: { PREFETCH: 'none' } });
    const directory = await daemon.mount('late', volume.root, { timeout: '100s' });
    const waiting = volume.names.map((name) => startFor(60_000, 'sha256sum', `${directory}/${name}`).outcome);
    await until('both files are asked for', () => gateway.requests.length >= 3);
    using scratch = new Scratch();
    const car = scratch.at('late.car');
    writeFileSync(car, carV1([CID.parse(volume.root)], [...dag.blocks.named()]));
    await importCar(daemon.socketPath, car);
    for (const [index, outcome] of (await Promise.all(waiting)).entries()) {
      expect(outcome.stdout.toString()).toContain(volume.files[volume.names[index] as string]);
    }
  });
});

/** Every call of Docker's that must not wait for a source, over and over until `end`: the longest. */
async function callsUntil(daemon: TestDaemon, end: Promise<unknown>, known = 'known'): Promise<number> {
  let ended = false;
  void end.then(() => {
    ended = true;
  });
  let longestMs = 0;
  const timed = async (verb: string, body: object) => {
    const startedAt = performance.now();
    await daemon.call(verb, body);
    longestMs = Math.max(longestMs, performance.now() - startedAt);
  };
  do {
    await timed('Get', { Name: known });
    await timed('List', {});
    await timed('Mount', { Name: known, ID: 'again' });
    await timed('Unmount', { Name: known, ID: 'again' });
    await timed('Create', { Name: 'new', Opts: { cid: 'bafkqaaa' } });
    await timed('Remove', { Name: 'new' });
  } while (!ended);
  return longestMs;
}

/** Reads all files of a volume, one after the other; gives the time each took. */
async function readAll(mountpoint: string, { files, names }: Volume): Promise<number[]> {
  const times: number[] = [];
  for (const name of names) {
    const { result, tookMs } = await read(`${mountpoint}/${name}`);
    expect(result).toBe(files[name]);
    times.push(tookMs);
  }
  return times;
}

function range(times: readonly number[]): string {
  return `${Math.round(Math.min(...times))} to ${Math.round(Math.max(...times))}`;
}
