/**
 * Content goes from one daemon's store to a Kubo node and to another daemon as it is: the CAR of `store export` gives the same
 * root there, and mounts to the same tree.
 */
import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CID } from 'multiformats/cid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addPath, CLI, importCar, ipfsVolume, startIpfsVolume } from '../fs/mounted/support/command-line.ts';
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts';
import { cidOfBytes, DAG_PB, encodeDagPb } from '../support/dag-builder.ts';
import { type KuboNode, startKubo } from '../support/kubo.ts';
import { describeWith } from '../support/machine.ts';
import { makeBlocks } from '../support/make-block.ts';
import { carV1 } from '../support/make-car.ts';

const run = promisify(execFile);
const MIB = 1024 * 1024;
/** More than it takes to close a connection that is over, also on a busy machine. */
const CLOSED_MS = 500;

let scratch: string;
let daemon: TestDaemon;

/** A sharded directory, a file of several levels, a sparse one, symlinks. */
function makeTree(path: string): void {
  mkdirSync(`${path}/many`, { recursive: true });
  for (let index = 0; index < 5_000; index++)
    writeFileSync(`${path}/many/a-name-that-is-not-short-${index}`, `${index}`);
  writeFileSync(`${path}/large`, Buffer.concat(makeBlocks(40, MIB / 2).map(({ bytes }) => bytes)));
  writeFileSync(`${path}/sparse`, '');
  truncateSync(`${path}/sparse`, 64 * MIB);
  symlinkSync('large', `${path}/link`);
}

/** Of all files below a mount, by another process. */
async function sums(mountpoint: string): Promise<string> {
  const script = 'cd "$1" && find . -type f -exec sha256sum {} + | sort && find . -type l -printf "%p %l %T@\\n"';
  return (await run('sh', ['-c', script, 'sh', mountpoint], { maxBuffer: 16 * MIB })).stdout;
}

function socketsOf(pid: number): number {
  const descriptors = readdirSync(`/proc/${pid}/fd`).map((name) => readlinkIfThere(`/proc/${pid}/fd/${name}`));
  return descriptors.filter((target) => target.startsWith('socket:')).length;
}

function readlinkIfThere(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

describeWith(['fuse', 'kubo'], 'store export', () => {
  let kubo: KuboNode;
  let root: string;

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'export-'));
    makeTree(`${scratch}/tree`);
    daemon = await startDaemon();
    kubo = await startKubo({ offline: true });
    root = await addPath(daemon.socketPath, `${scratch}/tree`);
  });

  afterAll(async () => {
    await kubo?.stop();
    await daemon?.[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true, force: true });
  });

  test('a FILE goes into Kubo and into another daemon under the same root, and mounts the same', async () => {
    const file = `${scratch}/tree.car`;
    const { code, stdout } = await ipfsVolume({ SOCKET: daemon.socketPath }, 'store', 'export', root, file, '--json');
    expect(code).toBe(0);
    const told = JSON.parse(stdout) as { cid: string; blocks: number; bytes: number };
    const imported = await kubo.run(['dag', 'import', '--stats', '--enc=json', file]);
    const [pinned, stats] = imported
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)) as [
      { Root: { Cid: Record<string, string>; PinErrorMsg: string } },
      { Stats: { BlockCount: number; BlockBytesCount: number } },
    ];
    // Pinned: Kubo has walked all of it.
    expect(pinned.Root).toEqual({ Cid: { '/': root }, PinErrorMsg: '' });
    expect(stats.Stats).toEqual({ BlockCount: told.blocks, BlockBytesCount: told.bytes });
    expect(told.cid).toBe(root);

    await using second = await startDaemon();
    expect(await importCar(second.socketPath, file)).toEqual([root]);
    const { store } = await second.daemonStatus();
    expect(store).toEqual({ roots: 1, blocks: told.blocks, bytes: told.bytes });
    const [here, there] = [await daemon.mount('tree', root), await second.mount('tree', root)];
    expect(await sums(there)).toBe(await sums(here));
    await second.remove('tree');
    await daemon.remove('tree');
  });

  test('a pipe into Kubo, of a directory that is no root of the store', async () => {
    const below = (await kubo.line(['dag', 'resolve', `${root}/many`])).trim();
    const script = '"$NODE" "$CLI" store export "$CID" | "$IPFS" dag import';
    const env = {
      ...kubo.environment,
      NODE: process.execPath,
      CLI,
      CID: below,
      IPFS: kubo.program,
      IPFS_VOLUME_SOCKET: daemon.socketPath,
    };
    const { stdout } = await run('bash', ['-o', 'pipefail', '-c', script], { env });
    expect(stdout).toContain(below);
  });

  test('what is not in the store, or only in part, is one error and no FILE', async () => {
    const file = `${scratch}/none.car`;
    const absent = CID.parse(root).multihash.bytes.slice();
    absent[absent.length - 1] = (absent[absent.length - 1] as number) ^ 1;
    const [kept, missing] = makeBlocks(2, 100) as [{ cid: CID; bytes: Uint8Array }, { cid: CID; bytes: Uint8Array }];
    const bytes = encodeDagPb([{ cid: kept.cid }, { cid: missing.cid }]);
    const partial = { cid: cidOfBytes(DAG_PB, bytes), bytes };
    writeFileSync(`${scratch}/partial.car`, carV1([partial.cid], [partial, kept]));
    await importCar(daemon.socketPath, `${scratch}/partial.car`);
    const result = await ipfsVolume({ SOCKET: daemon.socketPath }, 'store', 'export', partial.cid.toString(), file);
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toBe(
      `ipfs-volume: the local store has only a part of ${partial.cid}: block ${missing.cid} is missing; add or import all of it\n`,
    );
    const none = await ipfsVolume({ SOCKET: daemon.socketPath }, 'store', 'export', missing.cid.toString(), file);
    expect(none).toMatchObject({ code: 1, stdout: '' });
    expect(none.stderr).toMatch(/^ipfs-volume: the local store has no block .*: "add" or "import" it first; .*\n$/);
    expect(readdirSync(scratch).filter((name) => name.startsWith('none'))).toEqual([]);
  });

  test('the daemon needs some MiB for it, however much goes out', async () => {
    const file = `${scratch}/random`;
    await run('sh', ['-c', 'head -c 384M /dev/urandom >"$1"', 'sh', file]);
    const cid = await addPath(daemon.socketPath, file);
    // The peak is counted from here on.
    writeFileSync(`/proc/${daemon.daemonPid}/clear_refs`, '5');
    const before = daemon.footprint().residentBytes;
    const { code } = await ipfsVolume({ SOCKET: daemon.socketPath }, 'store', 'export', cid, `${scratch}/random.car`);
    expect(code).toBe(0);
    expect(daemon.footprint().peakBytes - before).toBeLessThan(30 * MIB);
  });

  test('a client that leaves ends it at the daemon, too', async () => {
    const connections = () => socketsOf(daemon.daemonPid);
    // Those of the calls before close by themselves, a moment later.
    let before = connections();
    let sinceMs = performance.now();
    await until('no other call is under way', () => {
      const now = connections();
      if (now !== before) sinceMs = performance.now();
      before = now;
      return performance.now() - sinceMs > CLOSED_MS;
    });
    // Nobody reads its output: it waits in the middle, the daemon with it.
    const command = startIpfsVolume({ SOCKET: daemon.socketPath }, 'store', 'export', root);
    command.child.stdout?.pause();
    await until('the daemon sends', () => connections() > before);
    command.child.kill('SIGINT');
    command.child.stdout?.resume();
    expect((await command.end).code).not.toBe(0);
    await until('the daemon has let go', () => connections() <= before);
  });
});
