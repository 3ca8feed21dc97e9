/**
 * Everything at once, from a printed seed: readers of known data, while daemons are killed and replaced, gateways fail in
 * every way, the cache rots on its disk, the disk is full, and volumes come and go.
 *
 * No reader may see an error or a wrong byte: outages are shorter than the time-out, and one gateway of the three never
 * says a last word that is wrong. In the end every volume is there, every file reads right, and nothing is left behind.
 *
 * `CHAOS_SECONDS` lengthens it, `CHAOS_SEED` repeats what it did.
 */
import { readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { detach, runProgram } from '../../src/fuse/run-program.ts';
import { startFor } from '../fuse/outside.ts';
import { BlockMap } from '../support/block-map.ts';
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts';
import { FaultyGateway, FINAL_OUTAGES, PASSING_OUTAGES } from '../support/faulty-gateway.ts';
import {
  type KnownVolume,
  makeKnownVolume,
  type Random,
  randomBelow,
  randomFrom,
  randomOf,
  readKnown,
} from '../support/known-volumes.ts';
import { describeWith } from '../support/machine.ts';

const SECONDS = Number(process.env.CHAOS_SECONDS ?? 300);
const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
const READERS = 5;
const CHURNERS = 2;
/** Who volumes are shown as belonging to: each has nodes of its own. */
const OWNERS = 3;
const MAX_OUTAGE_MS = 5000;
/** Well beyond an outage, a restart and a probe's pause together. */
const READ_TIMEOUT = '60s';
/** Against hangs: a reading of forty files, each of which may wait for an outage. */
const READ_LIMIT_MS = 180_000;
const CALL_LIMIT_MS = 60_000;
/** The cache may have this much of it, so that it turns over; the rest of the disk is for whoever fills it. */
const DISK_SIZE = '96m';
const CACHE_SIZE = '48MiB';

/** Reads a file slowly, a piece at a time, over and over, and compares: it is in the middle of it when a daemon dies. */
const SLOW_READER = `
import hashlib, sys, time
path, digest, end = sys.argv[1], sys.argv[2], time.time() + float(sys.argv[3])
while time.time() < end:
    total = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(16384):
            total.update(piece)
            time.sleep(0.02)
    assert total.hexdigest() == digest, "wrong bytes"
`;

describeWith(['root', 'fuse'], `chaos, seed ${SEED}`, () => {
  it('loses nothing and hangs nobody', { timeout: (SECONDS + 300) * 1000 }, async () => {
    console.log(`chaos of ${SECONDS} s, CHAOS_SEED=${SEED}`);
    await new Chaos(randomFrom(SEED)).run();
  });
});

class Chaos {
  readonly #random: Random;
  readonly #blocks = new BlockMap();
  readonly #volumes: readonly KnownVolume[];
  readonly #counts: Record<string, number> = {};
  readonly #endMs = performance.now() + SECONDS * 1000;
  readonly #failed = new AbortController();
  #gateways: readonly FaultyGateway[] = [];
  #cacheDirectory = '';
  #daemon!: TestDaemon;

  constructor(random: Random) {
    this.#random = random;
    this.#volumes = Array.from({ length: 5 }, (_, index) => makeKnownVolume(this.#blocks, random, `chaos${index}`, 3));
  }

  async run(): Promise<void> {
    await using undo = new AsyncDisposableStack();
    this.#gateways = await Promise.all([1, 2, 3].map(() => FaultyGateway.start(this.#blocks)));
    for (const gateway of this.#gateways) undo.use(gateway);
    const stateDirectory = await mkdtemp(join(tmpdir(), 'chaos-'));
    undo.defer(() => rm(stateDirectory, { recursive: true }));
    this.#cacheDirectory = join(stateDirectory, 'cache');
    await mkdir(this.#cacheDirectory);
    const disk = await runProgram('mount', ['-t', 'tmpfs', '-o', `size=${DISK_SIZE}`, 'chaos', this.#cacheDirectory]);
    expect(disk).toMatchObject({ ok: true });
    undo.defer(() => detach(this.#cacheDirectory).then(() => undefined));
    this.#daemon = undo.use(
      await startDaemon({
        gateways: this.#gateways.map(({ url }) => url),
        settings: { READ_TIMEOUT, CACHE_SIZE },
        stateDirectory,
      }),
    );
    const mountpoints = await Promise.all(
      this.#volumes.map((volume, index) =>
        this.#daemon.mount(`fixed${index}`, volume.root, { prefetch: index % 2 === 0 ? 'none' : 'auto' }),
      ),
    );
    try {
      await Promise.all([
        ...Array.from({ length: READERS }, () => this.#guarded(() => this.#readFixed(mountpoints))),
        this.#guarded(() => this.#readSlowly(mountpoints)),
        ...Array.from({ length: CHURNERS }, (_, index) => this.#guarded(() => this.#churn(index))),
        this.#guarded(() => this.#kill()),
        this.#guarded(() => this.#forget()),
        this.#guarded(() => this.#rot()),
        this.#guarded(() => this.#fillDisk()),
        ...this.#gateways.map((gateway, index) => this.#guarded(() => this.#fail(gateway, index === 0))),
      ]);
    } catch (error) {
      // The seed repeats what was done, and not when: what the daemons said is all that is left of it.
      console.log(this.#daemon.log.filter((line) => /"level":"(warn|error)"/.test(line)).join('\n'));
      throw error;
    } finally {
      console.log(`chaos, seed ${SEED}: ${JSON.stringify(this.#counts)}`);
    }
    await this.#takeStock(mountpoints);
  }

  /** Runs `work` over and over until the time is up; what it throws ends everybody. */
  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      while (performance.now() < this.#endMs && !this.#failed.signal.aborted) await work();
    } catch (error) {
      this.#failed.abort();
      throw error;
    }
  }

  async #readFixed(mountpoints: readonly string[]): Promise<void> {
    const index = randomBelow(this.#random, this.#volumes.length);
    const volume = this.#volumes[index] as KnownVolume;
    const share = this.#random() * this.#random();
    const paths = [...volume.files.keys()].filter(() => this.#random() < share);
    if (paths.length === 0) return;
    this.#count('files read', await readKnown(mountpoints[index] as string, volume, paths, READ_LIMIT_MS));
  }

  async #readSlowly(mountpoints: readonly string[]): Promise<void> {
    const volume = this.#volumes[0] as KnownVolume;
    const [path, digest] = randomOf(this.#random, [...volume.files]);
    const args = ['-c', SLOW_READER, join(mountpoints[0] as string, path), digest, '10'];
    const { code, signal, stderr } = await startFor(READ_LIMIT_MS, 'python3', ...args).outcome;
    if (code !== 0) throw new Error(`a slow reader of ${path}: ${code ?? signal}: ${stderr}`);
    this.#count('slow readers');
  }

  async #churn(index: number): Promise<void> {
    const volume = randomOf(this.#random, this.#volumes);
    const name = `churn${index}`;
    const call = <T>(verb: string, body: object) =>
      this.#daemon.call<T>(verb, body, AbortSignal.timeout(CALL_LIMIT_MS));
    const uid = String(randomBelow(this.#random, OWNERS));
    await call('Create', { Name: name, Opts: { cid: volume.root.toString(), uid, prefetch: 'none' } });
    const { Mountpoint } = await call<{ Mountpoint: string }>('Mount', { Name: name, ID: name });
    const path = randomOf(this.#random, [...volume.files.keys()]);
    await readKnown(Mountpoint, volume, [path], READ_LIMIT_MS);
    await call('Get', { Name: name });
    await call('Unmount', { Name: name, ID: name });
    await call('Remove', { Name: name });
    this.#count('volumes churned');
  }

  async #kill(): Promise<void> {
    await this.#pause(3000, 12_000);
    if (this.#random() < 0.3) {
      process.kill(this.#daemon.pid, 'SIGHUP');
      this.#count('daemons replaced');
      return;
    }
    let pid: number | undefined;
    await until('there is a daemon to kill', () => {
      try {
        pid = this.#daemon.daemonPid;
      } catch {
        pid = undefined;
      }
      return pid !== undefined;
    });
    process.kill(pid as number, 'SIGKILL');
    this.#count('daemons killed');
  }

  /** So that reads come to the daemon again, and look-ups are forgotten. */
  async #forget(): Promise<void> {
    await this.#pause(1000, 4000);
    writeFileSync('/proc/sys/vm/drop_caches', '2');
    this.#count('caches dropped');
  }

  /** Flips bytes in a block's file, shortens it, or removes it. */
  async #rot(): Promise<void> {
    await this.#pause(200, 1500);
    const files = blockFiles(this.#cacheDirectory);
    if (files.length === 0) return;
    const path = randomOf(this.#random, files);
    try {
      const { size } = statSync(path);
      const how = this.#random();
      if (how < 0.6) await flip(path, randomBelow(this.#random, size));
      else if (how < 0.8) truncateSync(path, randomBelow(this.#random, size));
      else rmSync(path);
      this.#count('blocks damaged');
    } catch {
      // Evicted meanwhile.
    }
  }

  async #fillDisk(): Promise<void> {
    await this.#pause(5000, 15_000);
    const filler = join(this.#cacheDirectory, 'filler');
    const file = await open(filler, 'w');
    try {
      for (const piece = Buffer.alloc(65_536, 1); ; ) await file.write(piece);
    } catch {
      // Full.
    } finally {
      await file.close();
    }
    this.#count('disks filled');
    await this.#pause(1000, 5000);
    rmSync(filler);
  }

  async #fail(gateway: FaultyGateway, isHonest: boolean): Promise<void> {
    await this.#pause(500, 6000);
    const outage = randomOf(this.#random, isHonest ? PASSING_OUTAGES : [...PASSING_OUTAGES, ...FINAL_OUTAGES]);
    gateway.begin(outage);
    this.#count(`outages: ${outage}`);
    await this.#pause(500, MAX_OUTAGE_MS);
    gateway.end();
  }

  /** Nothing lost, nothing leaked. */
  async #takeStock(mountpoints: readonly string[]): Promise<void> {
    const { Volumes } = await this.#daemon.call<{ Volumes: { Name: string }[] }>('List', {});
    expect(Volumes.map(({ Name }) => Name).sort()).toEqual(this.#volumes.map((_, index) => `fixed${index}`));
    for (const [index, volume] of this.#volumes.entries()) {
      expect((await this.#daemon.status(`fixed${index}`)).mounts).toBe(1);
      await readKnown(mountpoints[index] as string, volume, [...volume.files.keys()], READ_LIMIT_MS);
      await this.#daemon.remove(`fixed${index}`);
    }
    expect(await this.#daemon.call('List', {})).toMatchObject({ Volumes: [] });
    await until('nobody waits for a block', async () => {
      writeFileSync('/proc/sys/vm/drop_caches', '2');
      return (await this.#daemon.metrics()).total('ipfs_volume_wants_waiting') === 0;
    });
    const nodes = (await this.#daemon.metrics()).value('ipfs_volume_nodes');
    const { descriptors, threads } = this.#daemon.footprint();
    const supervisor = this.#daemon.footprint(this.#daemon.pid);
    console.log(
      `in the end: ${nodes} nodes, daemon with ${descriptors} descriptors and ${threads} threads, supervisor with ` +
        `${supervisor.descriptors} and ${supervisor.threads}; gateways were asked ${this.#gateways.map(({ asked }) => asked).join(', ')} times`,
    );
    // After a daemon died, look-up counts err upward, so its nodes may stay; but there is one for each content and owner.
    const files = this.#volumes.reduce((sum, volume) => sum + volume.files.size, 0);
    expect(nodes).toBeLessThan(files * OWNERS * 2);
    expect(descriptors).toBeLessThan(400);
    expect(supervisor.descriptors).toBeLessThan(60);
  }

  async #pause(leastMs: number, mostMs: number): Promise<void> {
    const left = Math.max(0, this.#endMs - performance.now());
    await after(Math.min(left, leastMs + this.#random() * (mostMs - leastMs)));
  }

  #count(what: string, by = 1): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + by;
  }
}

/** The cache's files of large blocks. */
function blockFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.parentPath !== directory)
    .map(({ parentPath, name }) => join(parentPath, name));
}

async function flip(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    byte[0] = (byte[0] ?? 0) ^ 0xff;
    await file.write(byte, 0, 1, at);
  } finally {
    await file.close();
  }
}
