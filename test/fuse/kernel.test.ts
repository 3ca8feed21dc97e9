import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { kernelTransport } from '../../src/fuse/kernel/kernel-transport.ts';
import { mountConnection } from '../../src/fuse/kernel/mount.ts';
import { detach } from '../../src/fuse/run-program.ts';
import type { MountedFileSystem } from '../../src/fuse/transport.ts';
import { describeWith } from '../support/machine.ts';
import { MemoryFileSystem, patternBytes } from '../support/memory-file-system.ts';
import { emptyDirectory, errnoOf, LIMIT_MS, removeDirectory, shell, start, until } from './outside.ts';
import { transportContract } from './transport-contract.ts';

const OPTIONS = { fsName: 'kernel-test', logger: silentLogger() };
/** As `serve-memory.ts` has it. */
const SERVED_SIZE_BYTES = 16 * 2 ** 20;
/** The journal reaches beyond this as soon as something waits: 32,768 slots of eight bytes come before. */
const JOURNAL_OF_WAITING = 262_144;

describeWith(['root', 'fuse'], 'kernel transport', () => {
  transportContract(kernelTransport(), {
    interrupts: true,
    parallelLookups: true,
    nanoseconds: true,
    keepsPages: true,
  });

  describe('what the kernel holds', () => {
    let fileSystem: MemoryFileSystem;
    let directory: string;
    let mounted: MountedFileSystem;

    beforeAll(async () => {
      const names = Array.from({ length: 500 }, (_, index) => [`entry-${index}`, 'x'] as const);
      fileSystem = new MemoryFileSystem({ volume: { many: Object.fromEntries(names) } });
      directory = await emptyDirectory();
      mounted = await kernelTransport().mount(fileSystem, directory, OPTIONS);
    });

    afterAll(async () => {
      await mounted.unmount();
      await removeDirectory(directory);
    });

    it('is given back look-up by look-up when it drops its caches', async () => {
      await shell('ls -l "$1/volume/many" && stat "$1/volume/many/entry-3" && cat "$1/volume/many/entry-4"', directory);
      expect(fileSystem.lookups).toBeGreaterThan(500);
      await until('all look-ups are given back', async () => {
        await shell('echo 2 > /proc/sys/vm/drop_caches');
        return fileSystem.lookups === 0;
      });
    });

    it('a name that is not there is asked for once below the root, and each time in it', async () => {
      const misses = async (path: string): Promise<number> => {
        const lookups = () => mounted.requestCounts.get('LOOKUP') ?? 0;
        await errnoOf('os.stat(p)', `${directory}/${path}`);
        const before = lookups();
        const script = `for i in 1 2 3; do stat "$1" 2>/dev/null; done; true`;
        await shell(script, `${directory}/${path}`);
        return lookups() - before;
      };
      // Each walk looks up the volume; the root's own miss comes on top of nothing.
      expect(await misses('volume/nothing')).toBe(3);
      expect(await misses('nothing')).toBe(3);
    });

    it('a read in many small pieces arrives whole', async () => {
      const pieces = (offset: number, length: number): Uint8Array[] => {
        const bytes = patternBytes(offset, length);
        return Array.from({ length: Math.ceil(length / 50) }, (_, index) =>
          bytes.subarray(index * 50, index * 50 + 50),
        );
      };
      fileSystem.setRootName('pieces', { size: 200_000, $read: pieces });
      const sum = createHash('sha256').update(patternBytes(0, 200_000)).digest('hex');
      expect(await shell('sha256sum < "$1/pieces"', directory)).toContain(sum);
    });
  });

  it('a lazily unmounted mount is served until its last user leaves', async () => {
    const directory = await emptyDirectory();
    const mounted = await kernelTransport().mount(
      new MemoryFileSystem({ volume: { text: 'still here' } }),
      directory,
      OPTIONS,
    );
    const inside = spawn('sh', ['-c', 'cd "$1/volume" && echo in && read line && cat text', 'sh', directory]);
    await once(inside.stdout, 'data');
    const unmounting = mounted.unmount();
    await until(
      'it is detached',
      async () => (await shell('grep -c " $1 " /proc/mounts || true', directory)) === '0\n',
    );
    inside.stdin.end('go\n');
    const [text] = await once(inside.stdout, 'data');
    expect(String(text)).toBe('still here');
    await unmounting;
    expect(await mounted.ended).toBe('unmounted');
    await removeDirectory(directory);
  });

  it('gives descriptors and threads back', async () => {
    const directory = await emptyDirectory();
    const cycle = async (): Promise<void> => {
      const mounted = await kernelTransport().mount(
        new MemoryFileSystem({ volume: { text: 'x' } }),
        directory,
        OPTIONS,
      );
      await shell('cat "$1/volume/text"', directory);
      await mounted.unmount();
    };
    const open = async (): Promise<[descriptors: number, threads: number]> => {
      const counts = await shell('ls /proc/$1/fd | wc -l; ls /proc/$1/task | wc -l', String(process.pid));
      const [descriptors = Number.NaN, threads = Number.NaN] = counts.split('\n').map(Number);
      return [descriptors, threads];
    };
    await cycle();
    const before = await open();
    for (let round = 0; round < 3; round++) await cycle();
    // Fewer, where something of the first cycle was on its way out.
    await until('all is given back', async () => {
      const [descriptors, threads] = await open();
      return descriptors <= before[0] && threads <= before[1];
    });
    await removeDirectory(directory);
  });

  it(
    'outlives the process that serves it: kill -9 in the middle of reads, and no reader notices',
    async () => {
      const directory = await emptyDirectory();
      const descriptor = await mountConnection(directory, OPTIONS.fsName);
      const serve = (negotiated: string) => serveInherited(descriptor, directory, negotiated);
      let server = await serve('new');
      const sum = createHash('sha256').update(patternBytes(0, SERVED_SIZE_BYTES)).digest('hex');
      const readers = Array.from({ length: 4 }, () => start('sha256sum', `${directory}/volume/large`));
      const outcomes = Promise.all(readers.map(({ outcome }) => outcome));
      let done = false;
      void outcomes.then(() => {
        done = true;
      });
      let kills = 0;
      while (!done && kills < 10) {
        const { negotiated } = server;
        await kill(server.child);
        kills++;
        server = await serve(negotiated);
      }
      for (const { code, stdout } of await outcomes) expect([code, stdout.toString().split(' ')[0]]).toEqual([0, sum]);
      expect(kills).toBeGreaterThan(1);
      await kill(server.child);
      closeSync(descriptor);
      await detach(directory);
      await removeDirectory(directory);
    },
    2 * LIMIT_MS,
  );

  it('a request that daemon after daemon crashes of is EIO in the end; one that waits outlives any number of kills', async () => {
    const directory = await emptyDirectory();
    const suspects = `${directory}.suspects`;
    const descriptor = await mountConnection(directory, OPTIONS.fsName);
    const env = { SUSPECTS: suspects };
    let server = await serveInherited(descriptor, directory, 'new', env);
    const { negotiated } = server;
    const waiting = start('cat', `${directory}/volume/waiting`);
    for (let kills = 0; kills < 6; kills++) {
      await kill(server.child);
      server = await serveInherited(descriptor, directory, negotiated, env);
    }
    await kill(server.child);
    server = await serveInherited(descriptor, directory, negotiated, { ...env, RELEASE: '1' });
    expect((await waiting.outcome).stdout.toString()).toBe('there');

    const poisoned = start('cat', `${directory}/volume/poison`);
    let answered = false;
    void poisoned.outcome.then(() => {
      answered = true;
    });
    let crashes = 0;
    while (!answered && crashes < 8) {
      await until('it crashed, or all is answered', () => answered || server.child.signalCode !== null);
      if (answered) break;
      crashes++;
      server = await serveInherited(descriptor, directory, negotiated, env);
    }
    await kill(server.child);
    closeSync(descriptor);
    await detach(directory);
    await removeDirectory(directory);
    await rm(suspects);
    expect((await poisoned.outcome).stderr).toContain('Input/output error');
    // Readahead and the read itself are requests of their own.
    expect(crashes).toBeLessThan(8);
  });

  it('where the kernel cannot send again (switched off here), what was in flight is EIO, and what comes is served', async () => {
    const directory = await emptyDirectory();
    const journal = `${directory}.journal`;
    const descriptor = await mountConnection(directory, OPTIONS.fsName);
    const serve = (negotiated: string) => serveInherited(descriptor, directory, negotiated, { JOURNAL: journal });
    const first = await serve('new');
    expect(JSON.parse(first.negotiated)).toMatchObject({ resend: false });
    const waiting = start('stat', `${directory}/volume/absent`);
    // Whichever comes after the kill waits for ever: one after the other, each in a slot of its own.
    await until('it is in flight', async () => (await stat(journal)).size > JOURNAL_OF_WAITING);
    const reader = start('sha256sum', `${directory}/volume/large`);
    await until('both are in flight', async () => (await stat(journal)).size > JOURNAL_OF_WAITING + 8);
    await kill(first.child);
    const second = await serve(first.negotiated);
    expect((await waiting.outcome).stderr).toContain('Input/output error');
    // It may have been between two requests at the kill.
    const { code, stderr } = await reader.outcome;
    if (code !== 0) expect(stderr).toContain('Input/output error');
    expect(await shell('cat "$1/volume/text" && tail -c 100000 "$1/volume/large" | wc -c', directory)).toBe(
      'hello100000\n',
    );
    await kill(second.child);
    closeSync(descriptor);
    await detach(directory);
    await removeDirectory(directory);
    await rm(journal);
  });
});

interface Server {
  readonly child: ChildProcess;
  readonly negotiated: string;
}

/** A process that serves the connection it inherits; resolves when it does. */
async function serveInherited(
  descriptor: number,
  directory: string,
  negotiated: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Server> {
  const program = new URL('./serve-memory.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, directory, negotiated, 'slow'], {
    stdio: ['ignore', 'pipe', 'inherit', descriptor],
    env: { ...process.env, ...env },
  });
  const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data');
  return { child, negotiated: String(line).trim() };
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
