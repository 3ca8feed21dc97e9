/**
 * Many more places than there is room for, on the real kernel: what one `find` of a hostile DAG costs, and that being asked
 * to forget disturbs nobody.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { NO_RECORDER } from '../../src/fs/node-recorder.ts';
import { kernelTransport } from '../../src/fuse/kernel/kernel-transport.ts';
import type { MountedFileSystem } from '../../src/fuse/transport.ts';
import { BlockMap } from '../support/block-map.ts';
import { DagBuilder } from '../support/dag-builder.ts';
import { describeWith } from '../support/machine.ts';
import { MemoryFileSystem } from '../support/memory-file-system.ts';
import { fileSystemOver, volumeSpec } from '../support/mount-content.ts';
import { emptyDirectory, removeDirectory, run, shell, start, startFor, until } from './outside.ts';

const OPTIONS = { fsName: 'kernel-pruning', logger: silentLogger() };
/** What a directory with a short name counts for, about. */
const DIRECTORY_BYTES = 425;
/** For half of the directories that are walked. */
const ROOM = 16_000;
/** Against hangs: some seconds, where the machine does nothing else. */
const WALK_LIMIT_MS = 120_000;

let directory: string;
let mounted: MountedFileSystem | undefined;
beforeEach(async () => {
  directory = await emptyDirectory();
});
afterEach(async () => {
  await mounted?.unmount();
  mounted = undefined;
  await removeDirectory(directory);
});

/** `levels` directories, each with two names for the next, and two files in the last; and how many nodes were held at the most. */
function hostile(levels: number, roomForDirectories: number) {
  const state = { most: 0 };
  const recorder = {
    ...NO_RECORDER,
    added: () => {
      state.most = Math.max(state.most, fileSystem.nodeCount);
    },
  };
  const blocks = new BlockMap();
  const builder = new DagBuilder(blocks);
  const fileSystem = fileSystemOver(blocks, {
    nodeLimits: { heapBytes: roomForDirectories * DIRECTORY_BYTES, contents: 1000 },
    recorder,
  });
  let cid = builder.directory(['x', 'y'].map((name) => ({ name, cid: builder.raw(Buffer.from(name)), tsize: 1 })));
  for (let level = 0; level < levels; level++) cid = builder.directory(['a', 'b'].map((name) => ({ name, cid })));
  fileSystem.addVolume(volumeSpec(cid));
  return { fileSystem, state };
}

describeWith(['root', 'fuse'], 'a kernel that is not asked to forget', () => {
  it('holds what there is room for; the rest is ENOMEM until it forgets', async () => {
    const { fileSystem, state } = hostile(11, 500);
    fileSystem.surplus = () => [];
    mounted = await kernelTransport().mount(fileSystem, directory, OPTIONS);
    const found = await run('find', directory, '-mindepth', '2', '-type', 'd');
    expect(found.code).toBe(1);
    expect(found.stderr).toContain('Cannot allocate memory');
    expect(state.most).toBeGreaterThan(400);
    expect(state.most).toBeLessThan(600);
    // What is known works.
    expect(await shell('ls "$1/v"', directory)).toBe('a\nb\n');
    await shell('echo 2 > /proc/sys/vm/drop_caches');
    await until('it has forgotten most of it', () => fileSystem.nodeCount < 50);
    expect(await shell(`cat "$1/v/${'b/'.repeat(11)}x"`, directory)).toBe('x');
  });
});

describeWith(['root', 'fuse', 'fuse-prune'], 'a kernel that is asked to forget', () => {
  it('a tree of any number of places is walked whole, with few of them held', async () => {
    const { fileSystem } = hostile(14, ROOM);
    // It is asked at four fifths of the room. How soon it forgets then is the machine's: the walk is not to make the last fifth before.
    const list = fileSystem.list.bind(fileSystem);
    fileSystem.list = async (...listing) => {
      await until('the kernel has forgotten some', async () => {
        if (fileSystem.nodeCount < 0.95 * ROOM) return true;
        // With each request it is asked again.
        await run('stat', `${directory}/none`);
        return false;
      });
      return list(...listing);
    };
    mounted = await kernelTransport().mount(fileSystem, directory, OPTIONS);
    const found = await startFor(WALK_LIMIT_MS, 'find', `${directory}/v`).outcome;
    expect(found).toMatchObject({ code: 0, stderr: '' });
    expect(found.stdout.toString().trim().split('\n').length).toBe(2 ** 15 - 1 + 2 ** 15);
  });

  it('whoever waits for a look-up or a read, or reads nothing any more, keeps nobody from being answered', async () => {
    const never: MemoryFileSystem['never'] = (...read) => fileSystem.never(...read);
    const large = { size: 2 ** 20, $read: never };
    const tree = { volume: { absent: { $absent: true }, awaited: large, left: large, sub: { text: 'x' } } } as const;
    const fileSystem: MemoryFileSystem = new MemoryFileSystem(tree);
    mounted = await kernelTransport().mount(fileSystem, directory, OPTIONS);
    const looking = start('stat', '-c', '%F', `${directory}/volume/absent`);
    const reading = start('sha256sum', `${directory}/volume/awaited`);
    const leaving = start('cat', `${directory}/volume/left`);
    const readers = () => new Set(fileSystem.reads.map(({ node }) => node)).size;
    await until('all three wait', () => readers() === 2 && fileSystem.waiting > 2);
    leaving.child.kill('SIGKILL');
    await leaving.outcome;
    const waiting = fileSystem.waiting;
    expect(waiting).toBeGreaterThan(2);
    for (let round = 0; round < 3; round++) {
      fileSystem.toForget = [];
      expect(await shell('cat "$1/volume/sub/text"', directory)).toBe('x');
      const before = fileSystem.lookups;
      fileSystem.toForget = Array.from({ length: 100 }, (_, index) => 101 - index);
      await run('stat', `${directory}/none`);
      // The text and the directory it is in, each time: the write before has come back.
      await until('what nobody uses is forgotten', () => fileSystem.lookups <= before - 2);
    }
    expect(fileSystem.waiting).toBe(waiting);
    fileSystem.toForget = [];
    fileSystem.arrive();
    expect((await looking.outcome).code).toBe(0);
    await until('whoever reads is through', () => {
      fileSystem.arrive();
      return reading.child.exitCode !== null;
    });
    expect((await reading.outcome).code).toBe(0);
  });

  it('what is open stays so', async () => {
    const fileSystem = new MemoryFileSystem({ volume: { sub: { open: 'open', text: 'text' }, aside: 'x' } });
    mounted = await kernelTransport().mount(fileSystem, directory, OPTIONS);
    await shell('cat "$1/volume/aside"', directory);
    const inside = spawn('sh', [
      '-c',
      'cd "$1/volume/sub" && exec 3<open && read line && cat /dev/fd/3 text',
      'sh',
      directory,
    ]);
    let said = '';
    inside.stdout.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
    const ended = once(inside, 'close');
    await until('it is inside', async () =>
      (await shell('ls -l "/proc/$1/fd"', String(inside.pid))).includes(' 3 -> '),
    );
    const before = fileSystem.lookups;
    fileSystem.toForget = Array.from({ length: 20 }, (_, index) => 21 - index);
    await run('stat', `${directory}/none`);
    await until('what is not is forgotten', () => fileSystem.lookups < before);
    inside.stdin.end('go\n');
    await ended;
    expect(said).toBe('opentext');
  });
});
