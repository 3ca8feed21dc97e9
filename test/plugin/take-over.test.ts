/**
 * Daemons that die under load, as they are shipped and on the real kernel: whoever reads, walks or calls notices nothing.
 *
 * The content is behind a gateway that takes its time, and the cache is small, so that at any moment requests are in
 * flight; the kernel's caches are dropped again and again, so that node numbers come and go.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as after } from 'node:timers/promises';
import type { CID } from 'multiformats/cid';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runDirectoryOf } from '../../plugin/supervisor/run-directory.ts';
import { SmallDisk } from '../disk/support/small-disk.ts';
import { shell, start, startFor } from '../fuse/outside.ts';
import { startBlockGateway } from '../support/block-gateway.ts';
import { BlockMap } from '../support/block-map.ts';
import { SMALL_HEAP, startDaemon, type TestDaemon, until } from '../support/daemon.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { logged } from '../support/logged.ts';
import { describeWith } from '../support/machine.ts';
import { read, sha256 } from '../support/reading.ts';

const LARGE_FILES = 4;
const BLOCKS_A_FILE = 24;
const BLOCK_BYTES = 256 * 1024;
const DIRECTORIES = 20;
const FILES_A_DIRECTORY = 25;
/** Several answers' worth of names. */
const SHARDED = 1000;
/** A gateway's answer takes between these. */
const DELAY_MS = [5, 40] as const;
/** Of a reader who outlives three daemons, each of which takes its time to run out of memory on a busy machine. */
const OUTLIVES_MS = 120_000;
/** Less than the content, so that a second reading asks the gateway again. */
const SETTINGS = { CACHE_SIZE: '8MiB', PREFETCH: 'none', READ_TIMEOUT: '20s' };

/** A shell that runs until the file STOP is there, and complains of whatever goes wrong. */
interface Loop {
  readonly outcome: Promise<{ readonly code: number | null; readonly said: string; readonly rounds: number }>;
}

describeWith(['root', 'fuse'], 'a daemon that dies', () => {
  let gateway: Awaited<ReturnType<typeof startBlockGateway>>;
  let root: CID;
  let sums: string;
  let scratch: string;
  let daemon: TestDaemon;
  let mountpoint: string;

  beforeAll(async () => {
    const blocks = new BlockMap();
    const dag = new DagBuilder(blocks);
    const lines: string[] = [];
    const large = Array.from({ length: LARGE_FILES }, (_, file) => {
      const parts = Array.from({ length: BLOCKS_A_FILE }, (_, part) => Buffer.alloc(BLOCK_BYTES, `${file}/${part} `));
      lines.push(`${sha256(Buffer.concat(parts))}  large-${file}`);
      return { name: `large-${file}`, cid: dag.part(parts.map((part) => dag.rawPart(part))).cid };
    });
    const tree = Array.from({ length: DIRECTORIES }, (_, index) => {
      const files = Array.from({ length: FILES_A_DIRECTORY }, (_, file) => {
        // Some of them need their block to be known, some do not.
        const bytes = Buffer.from(`${index}/${file}`);
        const cid = file % 3 === 0 ? dag.part([], bytes).cid : dag.raw(bytes);
        return { name: `f${file}`, cid, tsize: bytes.length };
      });
      return { name: `d${index}`, cid: dag.directory(files) };
    });
    const sharded = Array.from({ length: SHARDED }, (_, index) => ({
      name: `entry-${index}`,
      cid: dag.raw(Buffer.from(String(index))),
      tsize: String(index).length,
    }));
    root = dag.directory([
      ...large,
      { name: 'sharded', cid: dag.hamt(sharded, 64) },
      { name: 'tree', cid: dag.directory(tree) },
    ]);
    sums = `${lines.join('\n')}\n`;
    gateway = await startBlockGateway(blocks);
    let turn = 0;
    const [least, most] = DELAY_MS;
    gateway.hold = () => after(least + ((turn++ * 7) % (most - least)));
  });
  afterAll(() => gateway[Symbol.asyncDispose]());

  beforeEach(() => {
    scratch = mkdtempSync(join(tmpdir(), 'take-over-'));
    writeFileSync(join(scratch, 'sums'), sums);
  });
  afterEach(async () => {
    writeFileSync(join(scratch, 'STOP'), '');
    await daemon[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true, force: true });
  });

  type Variables = Readonly<Record<string, string>>;

  async function serve(
    settings: Variables = {},
    environment: Variables = {},
    launcher: readonly string[] = [],
  ): Promise<void> {
    daemon = await startDaemon({
      gateways: [gateway.url],
      settings: { ...SETTINGS, ...settings },
      environment,
      launcher,
    });
    mountpoint = await daemon.mount('data', root);
  }

  /** Each daemon may ask for the root by itself; what is below it is asked for by requests alone: how often it was. */
  function holdBelowTheRoot(): () => number {
    gateway.hold = (cid) => (cid === `${root}` ? undefined : new Promise(() => undefined));
    return () => gateway.asked.filter((cid) => cid !== `${root}`).length;
  }

  /** `script` again and again, with the mountpoint as $1 and the scratch directory as $2; its first failure ends it. */
  function loop(script: string): Loop {
    const program = `n=0
while [ ! -e "$2/STOP" ]; do
  { ${script}
  } >&2 || { echo "failed in round $n" >&2; exit 1; }
  n=$((n + 1))
done
echo $n`;
    const child = spawn('sh', ['-c', program, 'sh', mountpoint, scratch], { stdio: ['ignore', 'pipe', 'pipe'] });
    let rounds = '';
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      rounds += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const outcome = once(child, 'close').then(([code]) => ({
      code: code as number | null,
      said,
      rounds: Number(rounds),
    }));
    return { outcome };
  }

  /** Eight processes: four that read, three that walk, one that has the kernel forget. */
  async function readers(): Promise<Loop[]> {
    const listed = await shell('cd "$1/tree" && ls -lR . | sha256sum', mountpoint);
    const archived = await shell('cd "$1/tree" && tar cf - --sort=name . | sha256sum', mountpoint);
    writeFileSync(join(scratch, 'listed'), listed);
    writeFileSync(join(scratch, 'archived'), archived);
    const reading = Array.from({ length: LARGE_FILES }, (_, file) =>
      loop(`(cd "$1" && grep large-${file} "$2/sums" | sha256sum --quiet -c)`),
    );
    return [
      ...reading,
      loop('(cd "$1/tree" && ls -lR . | sha256sum | cmp - "$2/listed")'),
      loop('(cd "$1/tree" && tar cf - --sort=name . | sha256sum | cmp - "$2/archived")'),
      loop(`[ $(find "$1/tree" -type f | wc -l) = ${DIRECTORIES * FILES_A_DIRECTORY} ]`),
      // Often, but not for all the time that two processors have.
      loop('echo 3 > /proc/sys/vm/drop_caches && sleep 0.3'),
    ];
  }

  /** Ends the loops; none may have met an error, or have got nowhere. */
  async function allWell(loops: readonly Loop[]): Promise<void> {
    writeFileSync(join(scratch, 'STOP'), '');
    for (const { code, said, rounds } of await Promise.all(loops.map(({ outcome }) => outcome))) {
      expect({ code, said }).toEqual({ code: 0, said: '' });
      expect(rounds).toBeGreaterThan(0);
    }
  }

  /** Kills the daemon and resolves when the next one answers. */
  async function kill(): Promise<void> {
    const before = daemon.daemonPid;
    process.kill(before, 'SIGKILL');
    await nextAfter(before);
  }

  async function nextAfter(before: number): Promise<void> {
    await until('another daemon answers', async () => {
      const pid = currentDaemon();
      return pid !== undefined && pid !== before && (await daemon.call('List', {})) !== undefined;
    });
  }

  function currentDaemon(): number | undefined {
    try {
      return daemon.daemonPid;
    } catch {
      return undefined;
    }
  }

  /** Create, Mount, Unmount, Remove, again and again: each call succeeds, and has its effect once. */
  async function callAllTheWhile(signal: AbortSignal): Promise<number> {
    let rounds = 0;
    for (; !signal.aborted; rounds++) {
      const name = `extra-${rounds}`;
      await daemon.create(name, root);
      for (const id of ['a', 'a', 'b']) await daemon.call('Mount', { Name: name, ID: id });
      expect((await daemon.status(name)).mounts).toBe(3);
      for (const id of ['a', 'a', 'b']) await daemon.call('Unmount', { Name: name, ID: id });
      expect((await daemon.status(name)).mounts).toBe(0);
      await daemon.call('Remove', { Name: name });
    }
    return rounds;
  }

  it('again and again under eight readers and Docker’s calls: no error, every checksum, nothing left behind', async () => {
    await serve();
    const inside = spawn(
      'sh',
      [
        '-c',
        'cd "$1/tree/d3" && exec 5<f5 && echo in && read go && cat <&5 && echo && ls | wc -l && cat f6 && cd .. && ls | wc -l',
        'sh',
        mountpoint,
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    await once(inside.stdout, 'data');
    const loops = await readers();
    const done = new AbortController();
    const calls = callAllTheWhile(done.signal);
    calls.catch(() => undefined);
    await kill();
    const supervisor = daemon.footprint(daemon.pid);
    const left = readdirSync(runDirectoryOf(daemon.stateDirectory)).length;
    for (let kills = 1; kills < 20; kills++) {
      await after(400); // So that there is something to kill in the middle of.
      await kill();
    }
    done.abort();
    expect(await calls).toBeGreaterThan(3);
    await allWell(loops);
    inside.stdin.end('go\n');
    expect(await rest(inside.stdout)).toBe(`3/5\n${FILES_A_DIRECTORY}\n3/6${DIRECTORIES}\n`);
    await until('the supervisor holds what it held', () => {
      const { descriptors, threads } = daemon.footprint(daemon.pid);
      return descriptors <= supervisor.descriptors && threads <= supervisor.threads;
    });
    expect(readdirSync(runDirectoryOf(daemon.stateDirectory)).length).toBeLessThanOrEqual(left);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log.join('\n')).not.toContain('ESTALE');
    expect(existsSync(runDirectoryOf(daemon.stateDirectory))).toBe(false);
  });

  describe.each([
    ['where the kernel sends requests again', {}],
    ['where it cannot', { RESEND: 'off' }],
  ])('SIGHUP, %s', (_kernel, settings) => {
    it('replaces the daemon, and nobody notices', async () => {
      await serve(settings);
      const loops = await readers();
      for (let times = 0; times < 4; times++) {
        const before = daemon.daemonPid;
        await after(300);
        process.kill(daemon.pid, 'SIGHUP');
        await nextAfter(before);
      }
      await allWell(loops);
      const log = daemon.log.join('\n');
      expect(log).not.toContain('the daemon died');
      expect(log).not.toContain('were answered EIO');
    });
  });

  it.each([
    ['sends requests again', {}],
    ['cannot', { RESEND: 'off' }],
  ])(
    'whoever was killed while the daemon was dying is gone as soon as the next one is there, where the kernel %s',
    async (_kernel, settings) => {
      await serve({ ...settings, READ_TIMEOUT: '60s' });
      const { hold } = gateway;
      const below = holdBelowTheRoot();
      const seen = below();
      const waiting = start('ls', join(mountpoint, 'tree', 'd1'));
      await until('its block is on its way', () => below() > seen);
      const before = daemon.daemonPid;
      process.kill(before, 'SIGSTOP');
      waiting.child.kill('SIGKILL');
      process.kill(before, 'SIGKILL');
      await nextAfter(before);
      await until('it is gone', () => waiting.child.exitCode !== null || waiting.child.signalCode !== null, 10_000);
      expect((await waiting.outcome).signal).toBe('SIGKILL');
      gateway.hold = hold;
      expect(await shell('ls "$1/tree/d1" | wc -l', mountpoint)).toBe(`${FILES_A_DIRECTORY}\n`);
    },
  );

  it('a listing that was begun with one daemon goes on with the next: every name once', async () => {
    await serve();
    const program = `import os, sys
names = []
for entry in os.scandir(sys.argv[1]):
  names.append(entry.name)
  if len(names) in (10, 500):
    print("waiting", flush=True)
    sys.stdin.readline()
print(len(names), len(set(names)))`;
    const lister = spawn('python3', ['-c', program, join(mountpoint, 'sharded')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    for (let times = 0; times < 2; times++) {
      await once(lister.stdout, 'data');
      await kill();
      lister.stdin.write('go\n');
    }
    expect(await rest(lister.stdout)).toBe(`${SHARDED} ${SHARDED}\n`);
  });

  it.each([
    ['an exception', 'throw new Error("a defect")'],
    ['running out of memory, without a word', 'for (const kept = []; ; ) kept.push(new Array(1e6).fill(kept.length))'],
  ])('a request that was waiting at three crashes by %s is EIO, and the supervisor goes on', async (_how, crash) => {
    const preload = encodeURIComponent(`process.on("SIGUSR2", () => { ${crash} })`);
    const options = `--import=data:text/javascript,${preload}`;
    await serve({ READ_TIMEOUT: '60s' }, { NODE_OPTIONS: options }, SMALL_HEAP);
    const { hold } = gateway;
    const below = holdBelowTheRoot();
    let seen = below();
    const waiting = startFor(OUTLIVES_MS, 'ls', join(mountpoint, 'tree', 'd2'));
    for (let crash = 1; crash <= 3; crash++) {
      await until('its block is on its way', () => below() > seen);
      seen = below();
      const before = daemon.daemonPid;
      process.kill(before, 'SIGUSR2');
      await nextAfter(before);
    }
    expect((await waiting.outcome).stderr).toContain('Input/output error');
    gateway.hold = hold;
    expect(await shell('ls "$1/tree/d2" | wc -l', mountpoint)).toBe(`${FILES_A_DIRECTORY}\n`);
    const said = () => daemon.log.filter((line) => line.includes('a request that daemons crash of is answered EIO'));
    await until('the log says so', () => said().some((line) => JSON.parse(line).crashes === 3));
  });

  it('where the kernel cannot send requests again: what was in flight ends at once, what comes is served, on the same mount', async () => {
    await serve({ RESEND: 'off' });
    const open = spawn('sh', ['-c', 'exec 5<"$1/large-1" && echo in && read go && sha256sum <&5', 'sh', mountpoint], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(open.stdout, 'data');
    const { hold } = gateway;
    let held = 0;
    gateway.hold = () => {
      held++;
      return new Promise(() => undefined);
    };
    const reading = read(join(mountpoint, 'large-0'));
    await until('a block is on its way', () => held > 0);
    gateway.hold = hold;
    const killedAt = performance.now();
    await kill();
    // Where only its readahead was in flight, the kernel asks for the page itself again, and the next daemon answers.
    const { result } = await reading;
    expect(['Input/output error', sums.slice(0, 64)]).toContain(result);
    expect(performance.now() - killedAt).toBeLessThan(15_000);
    expect((await read(join(mountpoint, 'large-0'))).result).toBe(sums.slice(0, 64));
    open.stdin.end('go\n');
    const [text] = await once(open.stdout, 'data');
    expect(String(text).slice(0, 64)).toBe(sums.split('\n')[1]?.slice(0, 64));
    await logged(daemon, 'requests of a dead daemon were answered EIO');
  });

  it('a full disk under the state keeps no daemon from taking over', async () => {
    await using disk = await SmallDisk.make(64 * 1024 * 1024);
    const stateDirectory = disk.at('state');
    daemon = await startDaemon({ gateways: [gateway.url], settings: SETTINGS, stateDirectory });
    mountpoint = await daemon.mount('data', root);
    disk.fill();
    for (let times = 0; times < 2; times++) {
      await kill();
      await shell('echo 3 > /proc/sys/vm/drop_caches');
      expect((await read(join(mountpoint, 'large-0'))).result).toBe(sums.slice(0, 64));
    }
    expect((await daemon.status('data')).mounts).toBe(1);
    disk.giveBack();
    await daemon.create('more', root);
    await daemon.stop();
  });

  it('where what node numbers mean was lost: paths work anew, and whoever was inside is told that it is stale', async () => {
    await serve();
    const inside = spawn('sh', ['-c', 'cd "$1/tree/d3" && echo in && read go && ls . 2>&1', 'sh', mountpoint], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(inside.stdout, 'data');
    expect((await read(join(mountpoint, 'large-0'))).result).toBe(sums.slice(0, 64));
    rmSync(join(runDirectoryOf(daemon.stateDirectory), 'nodes'));
    await kill();
    expect(await shell('cat "$1/tree/d3/f5" && ls "$1/tree" | wc -l', mountpoint)).toBe(`3/5${DIRECTORIES}\n`);
    expect((await read(join(mountpoint, 'large-0'))).result).toBe(sums.slice(0, 64));
    inside.stdin.end('go\n');
    expect(await rest(inside.stdout)).toContain('Stale file handle');
    // The file is there again: the next death costs nothing.
    await kill();
    expect(await shell('cat "$1/tree/d3/f5"', mountpoint)).toBe('3/5');
    await until('the log says so', () => daemon.log.some((line) => line.includes('could not be taken over')));
  });
});

async function rest(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) text += chunk;
  return text;
}
