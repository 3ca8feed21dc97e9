/**
 * How much a daemon bears at once: open files, volumes, readers, entries of a directory, levels of a DAG. Each ends with
 * the right answers, within the memory that docs/SEMANTICS.md promises, and with descriptors and threads as before.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeEach, expect, it } from 'vitest';
import type { Block } from '../../src/blocks/block.ts';
import { startFor } from '../fuse/outside.ts';
import { BlockMap } from '../support/block-map.ts';
import { type Footprint, startDaemon, type TestDaemon, until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { blocksOf, type GatewayServer, startGatewayServer } from '../support/gateway-server.ts';
import { carOf, deepDirectories, deepFile, entryName, hamtOf, isReadable } from '../support/large-dags.ts';
import { describeWith } from '../support/machine.ts';
import { sha256 } from '../support/reading.ts';

const MIB = 1024 * 1024;
/**
 * What a daemon takes however much it serves. What comes on top: 80 bytes for each file that the kernel holds at the moment
 * and 400 for each directory, and a hundred bytes an entry for the largest directory.
 */
const USUAL_BYTES = 250 * MIB;
/** Twice 190 MiB, of the entries that the kernel holds and of the listing, which grows by half its size at a time; and garbage. */
const MILLION_BYTES = 640 * MIB;
/** Against hangs: the largest takes twenty seconds on two idle cores, and two minutes on busy ones. */
const LIMIT_MS = 600_000;
/** Sockets that are kept alive, and the disk cache's open files (256): what may stay after any amount of work. */
const DESCRIPTORS_KEPT = 300;

const report: string[] = [];

describeWith(['root', 'fuse'], 'limits', () => {
  let daemon: TestDaemon;
  let gateway: GatewayServer;
  let dag: DagBuilder;
  let state: string;
  let before: Footprint;

  beforeEach(async () => {
    dag = new DagBuilder(new BlockMap());
    gateway = await startGatewayServer(blocksOf(dag.blocks));
    // In memory: four thousand changes of the state are synced to it one by one.
    state = await mkdtemp('/dev/shm/limits-');
    daemon = await startDaemon({
      gateways: [gateway.url],
      settings: { PREFETCH: 'none', READ_TIMEOUT: '120s' },
      stateDirectory: state,
    });
    before = daemon.footprint();
  });
  afterEach(async () => {
    await daemon[Symbol.asyncDispose]();
    await gateway.close();
    await rm(state, { recursive: true });
  });
  afterAll(() => console.log(report.join('\n')));

  /** Descriptors and threads are as before, soon; says how it went. */
  async function settled(what: string, startedAt: number, limitBytes: number): Promise<void> {
    const tookMs = performance.now() - startedAt;
    const { peakBytes, residentBytes } = daemon.footprint();
    await until(`the daemon gave back what it took for ${what}`, () => {
      const { descriptors, threads } = daemon.footprint();
      return descriptors <= before.descriptors + DESCRIPTORS_KEPT && threads <= before.threads;
    });
    const { descriptors, threads } = daemon.footprint();
    report.push(
      `${what}: ${(tookMs / 1000).toFixed(1)} s, memory ${mib(before.residentBytes)} before, ${mib(residentBytes)} after, ` +
        `${mib(peakBytes)} at most, descriptors ${before.descriptors} to ${descriptors}, threads ${before.threads} to ${threads}`,
    );
    expect(peakBytes).toBeLessThan(limitBytes);
  }

  it('10,000 open files', { timeout: LIMIT_MS }, async () => {
    const contents = Array.from({ length: 10_000 }, (_, index) => Buffer.from(`content of file ${index}`));
    const children = contents.map((bytes, index) => ({ name: `f${index}`, cid: dag.raw(bytes), tsize: bytes.length }));
    const mountpoint = await daemon.mount('data', dag.directory(children));
    const startedAt = performance.now();
    const program = `
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
files = [open(f"{sys.argv[1]}/f{i}", "rb") for i in range(10000)]
assert all(f.read() == b"content of file %d" % i for i, f in enumerate(files))
print(len(files))`;
    expect(await outside('python3', '-c', program, mountpoint)).toBe('10000\n');
    await settled('10,000 open files', startedAt, USUAL_BYTES);
  });

  it('1,000 volumes', { timeout: LIMIT_MS }, async () => {
    const root = dag.directory([{ name: 'f', cid: dag.raw(Buffer.from('f')), tsize: 1 }]).toString();
    const names = Array.from({ length: 1000 }, (_, index) => `volume${index}`);
    const startedAt = performance.now();
    for (const name of names) await daemon.mount(name, root);
    const { Volumes } = await daemon.call<{ Volumes: { Name: string }[] }>('List', {});
    expect(Volumes.map(({ Name }) => Name)).toEqual(names);
    for (const name of names) expect((await daemon.status(name)).state).toBe('mounted');
    expect(await outside('sh', '-c', 'ls "$1" | wc -l; cat "$1"/*/f | wc -c', 'sh', daemon.mountRoot)).toBe(
      '1000\n1000\n',
    );
    for (const name of names) await daemon.remove(name);
    expect(await daemon.call('List', {})).toMatchObject({ Volumes: [] });
    await settled('1,000 volumes', startedAt, USUAL_BYTES);
  });

  it('256 concurrent readers', { timeout: LIMIT_MS }, async () => {
    const digests: string[] = [];
    const children = Array.from({ length: 256 }, (_, index) => {
      const parts = Array.from({ length: 4 }, () => randomBytes(128 * 1024));
      digests.push(sha256(Buffer.concat(parts)));
      return { name: `f${index}`, cid: dag.part(parts.map((part) => dag.rawPart(part))).cid };
    });
    const mountpoint = await daemon.mount('data', dag.directory(children));
    const startedAt = performance.now();
    const program = `
import hashlib, sys, threading
digests = [None] * 256
ready = threading.Barrier(256)
def read(i):
    ready.wait()
    digests[i] = hashlib.sha256(open(f"{sys.argv[1]}/f{i}", "rb").read()).hexdigest()
threads = [threading.Thread(target=read, args=(i,)) for i in range(256)]
for t in threads: t.start()
for t in threads: t.join()
print("\\n".join(map(str, digests)))`;
    expect((await outside('python3', '-c', program, mountpoint)).trim().split('\n')).toEqual(digests);
    await settled('256 concurrent readers of 128 MiB', startedAt, USUAL_BYTES);
  });

  it('streams of what three volumes are filled with meanwhile', { timeout: LIMIT_MS }, async () => {
    const digests: string[] = [];
    const mountpoints: string[] = [];
    const volumes = [1, 2, 3].map(() => {
      const parts = Array.from({ length: 160 }, () => randomBytes(MIB));
      const digest = createHash('sha256');
      for (const part of parts) digest.update(part);
      digests.push(digest.digest('hex'));
      return dag.directory([{ name: 'f', cid: dag.part(parts.map((part) => dag.rawPart(part))).cid }]);
    });
    const startedAt = performance.now();
    for (const [index, root] of volumes.entries())
      mountpoints.push(await daemon.mount(`volume${index}`, root, { prefetch: 'all' }));
    const read = mountpoints.map((mountpoint) => outside('sha256sum', `${mountpoint}/f`));
    expect((await Promise.all(read)).map((line) => line.split(' ')[0])).toEqual(digests);
    await settled('three streams beside fills, 480 MiB', startedAt, USUAL_BYTES);
  });

  it('a directory of 1,000,000 entries', { timeout: LIMIT_MS }, async () => {
    const count = 1_000_000;
    const mountpoint = await mountImported('million', hamtOf(count));
    const imported = daemon.footprint();
    const startedAt = performance.now();
    const seventh = entryName(700_000);
    expect(isReadable(700_000)).toBe(true);
    expect(await outside('cat', `${mountpoint}/${seventh}`)).toBe(seventh);
    expect(await outside('sh', '-c', 'test -e "$1" || echo absent', 'sh', `${mountpoint}/${entryName(count)}`)).toBe(
      'absent\n',
    );
    const looked = daemon.footprint();
    const listed = outside('sh', '-c', `find "$1" -type f -printf '%s\\n' | sort | uniq -c`, 'sh', mountpoint);
    const longestCallMs = await callsUntil(listed);
    expect((await listed).trim()).toBe(`${count} ${seventh.length}`);
    report.push(
      `1,000,000 entries: memory ${mib(imported.residentBytes)} after the import, ${mib(looked.residentBytes)} after ` +
        `look-ups; while they were listed with their sizes, a call took ${Math.round(longestCallMs)} ms at most`,
    );
    await settled('1,000,000 entries', startedAt, MILLION_BYTES);
  });

  it('10,000 levels of a file and of directories', { timeout: LIMIT_MS }, async () => {
    const levels = 10_000;
    const file = await mountImported('file', deepFile(levels));
    const directories = await mountImported('directories', deepDirectories(levels));
    const startedAt = performance.now();
    expect(await outside('sh', '-c', 'tr -d x < "$1" | wc -c; wc -c < "$1"', 'sh', file)).toBe(`0\n${levels}\n`);
    const program = `
import os, sys
os.chdir(sys.argv[1])
depth = 1
while os.path.exists("d"):
    os.chdir("d")
    depth += 1
print(depth, open("f").read())`;
    expect(await outside('python3', '-c', program, directories)).toBe(`${levels} f\n`);
    await settled('10,000 levels', startedAt, USUAL_BYTES);
  });

  /** Asks for the list of volumes over and over until `end`; gives the longest wait. */
  async function callsUntil(end: Promise<unknown>): Promise<number> {
    let ended = false;
    void end.finally(() => {
      ended = true;
    });
    let longestMs = 0;
    while (!ended) {
      const startedAt = performance.now();
      await daemon.call('List', {});
      longestMs = Math.max(longestMs, performance.now() - startedAt);
    }
    return longestMs;
  }

  /** Streams a DAG into the local store and mounts its root, which is the last block. */
  async function mountImported(name: string, blocks: Generator<Block>): Promise<string> {
    await using client = daemon.client();
    const { roots } = await client.import(Readable.from(carOf(blocks)), { rootIsLast: true });
    return daemon.mount(name, roots[0] as string);
  }
});

/** stdout of a program that must succeed. */
async function outside(program: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await startFor(LIMIT_MS, program, ...args).outcome;
  if (code !== 0) throw new Error(`${program}: ${code}: ${stderr}`);
  return stdout.toString();
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
