/**
 * What every FUSE transport does, said once and run over each of them: the mount is served by this process and touched
 * by others. What a library cannot do is a capability, and shows in the names of the tests.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CodedError, type ErrorCode } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import type { FuseTransport, MountedFileSystem } from '../../src/fuse/transport.ts';
import { HANGING_LISTING, MemoryFileSystem, patternByte, type Tree } from '../support/memory-file-system.ts';
import { emptyDirectory, errnoOf, LIMIT_MS, python, removeDirectory, run, shell, start, until } from './outside.ts';

export interface Capabilities {
  /** Whoever waits can be killed, and the want is dropped. */
  readonly interrupts: boolean;
  /** Look-ups in one directory go on side by side. */
  readonly parallelLookups: boolean;
  /** mtime to the nanosecond; else to the millisecond. */
  readonly nanoseconds: boolean;
  /** The kernel keeps what was read for as long as it likes. */
  readonly keepsPages: boolean;
}

const GIB = 2 ** 30;
const MANY = 10_000;
/** Of whoever was killed. The promise is a second; this is against hangs, since the machine may do other things too. */
const GONE_WITHIN_MS = 5000;

const ODD_NAMES = ['with space', 'new\nline', 'ünïcödé-日本', 'quote\'"', 'back\\slash', '-dash', 'x'.repeat(255)];

/** One for each test: what arrived once is there for good. */
const ABSENT_NAMES = [
  'killed',
  'shared',
  'signalled',
  'given-up',
  'awaited',
  ...Array.from({ length: 64 }, (_, i) => `crowd-${i}`),
];

const FAILURES: ReadonlyArray<readonly [ErrorCode, string]> = [
  ['BLOCK_UNAVAILABLE', 'EIO'],
  ['BLOCK_CORRUPT', 'EIO'],
  ['DAG_INVALID', 'EIO'],
  ['BLOCK_TIMEOUT', 'ETIMEDOUT'],
];

function tree(): Tree {
  const failing: Record<string, Tree[string]> = {};
  for (const [code] of FAILURES) {
    failing[`lookup-${code}`] = { $error: code };
    failing[`read-${code}`] = {
      size: 10,
      $read: () => {
        throw new CodedError(code, 'told to fail');
      },
    };
  }
  return {
    volume: {
      text: 'hello\n',
      empty: '',
      big: { $sparse: 5 * GIB + 12_345 },
      link: { $link: '../somewhere/else \n' },
      odd: Object.fromEntries(ODD_NAMES.map((name) => [name, name])),
      many: Object.fromEntries(Array.from({ length: MANY }, (_, index) => [`entry-${index}`, `${index}`])),
      sub: { deeper: { leaf: 'deep' } },
      failing,
      absent: Object.fromEntries(ABSENT_NAMES.map((name) => [name, { $absent: true }])),
      unlisted: { [HANGING_LISTING]: 'x' },
    },
    single: 'a file in the root',
  };
}

/** Declares the suite for one transport. */
export function transportContract(transport: FuseTransport, can: Capabilities): void {
  describe('mounted', () => {
    const errors: string[] = [];
    let fileSystem: MemoryFileSystem;
    let directory: string;
    let mounted: MountedFileSystem;

    beforeAll(async () => {
      fileSystem = new MemoryFileSystem(tree());
      directory = await emptyDirectory();
      mounted = await transport.mount(fileSystem, directory, {
        fsName: 'contract-test',
        logger: silentLogger(),
        onError: (operation) => errors.push(operation),
      });
    });

    afterAll(async () => {
      fileSystem.arrive();
      await mounted.unmount();
      await removeDirectory(directory);
    });

    it('is listed in /proc/mounts by its name, read-only, without set-uid and devices', async () => {
      const line = await shell('grep "^contract-test $1 " /proc/mounts', directory);
      expect(line.split(' ')[3]?.split(',')).toEqual(expect.arrayContaining(['ro', 'nosuid', 'nodev', 'allow_other']));
    });

    it(`shows kind, mode, owner, size, blocks, links and mtime${can.nanoseconds ? ' to the nanosecond' : ' to the millisecond'}`, async () => {
      const line = await shell(
        'cd "$1" && stat -c "%F %a %u %g %s %b %B %h %o" volume/text volume/big volume/sub volume/link',
        directory,
      );
      expect(line.trimEnd().split('\n')).toEqual([
        'regular file 644 12 34 6 1 512 1 131072',
        `regular file 644 12 34 ${5 * GIB + 12_345} ${Math.ceil((5 * GIB + 12_345) / 512)} 512 1 131072`,
        'directory 555 12 34 0 0 512 1 131072',
        'symbolic link 644 12 34 19 1 512 1 131072',
      ]);
      const mtime = await python('print(os.stat(sys.argv[1]).st_mtime_ns)', `${directory}/volume/text`);
      expect(mtime).toBe(can.nanoseconds ? '1600000000123456789' : '1600000000123000000');
    });

    it('lists 10,000 entries, each once, with their kinds', async () => {
      const found = await python(
        `names = [(e.name, e.is_file(follow_symlinks=False)) for e in os.scandir(sys.argv[1])]
print(len(names), len(set(names)), all(f for _, f in names), sorted(n for n, _ in names)[0])`,
        `${directory}/volume/many`,
      );
      expect(found).toBe(`${MANY} ${MANY} True entry-0`);
    });

    it('lists with ls -l and find as it lists with readdir', async () => {
      const counts = await shell(
        'cd "$1/volume" && ls -l many | wc -l && find many -type f | wc -l && ls -f many | wc -l',
        directory,
      );
      expect(counts.split('\n').map(Number)).toEqual([MANY + 1, MANY, MANY + 2, 0]);
    });

    it('goes on with a listing from where a reader seeks to', async () => {
      const same = await python(
        `import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = ctypes.c_void_p; libc.readdir.restype = ctypes.c_void_p; libc.telldir.restype = ctypes.c_long
d = ctypes.c_void_p(libc.opendir(sys.argv[1].encode()))
name = lambda e: ctypes.string_at(e + 19)
first = [name(libc.readdir(d)) for _ in range(700)]
place = libc.telldir(d)
after = [name(libc.readdir(d)) for _ in range(50)]
libc.seekdir(d, ctypes.c_long(place))
again = [name(libc.readdir(d)) for _ in range(50)]
libc.rewinddir(d)
print(after == again, first == [name(libc.readdir(d)) for _ in range(700)], len(set(first + after)))`,
        `${directory}/volume/many`,
      );
      expect(same).toBe('True True 750');
    });

    it('keeps names with spaces, newlines, quotes and UTF-8, up to 255 bytes', async () => {
      const names = await python('print(ascii(sorted(os.listdir(sys.argv[1]))))', `${directory}/volume/odd`);
      expect(names).toBe(
        await python('import json\nprint(ascii(sorted(json.loads(sys.argv[1]))))', JSON.stringify(ODD_NAMES)),
      );
      for (const name of ODD_NAMES) expect(await shell('cat -- "$1"', `${directory}/volume/odd/${name}`)).toBe(name);
    });

    it('gives symlinks verbatim', async () => {
      expect(await errnoOf('ascii(os.readlink(p))', `${directory}/volume/link`)).toBe("'../somewhere/else \\n'");
    });

    it('reads a file to its end and not beyond', async () => {
      expect(
        await shell('cat "$1/volume/text" "$1/volume/empty" "$1/single" "$1/volume/sub/deeper/leaf"', directory),
      ).toBe('hello\na file in the rootdeep');
      const tail = await python(
        `f = os.open(sys.argv[1], os.O_RDONLY)
print([len(os.pread(f, 1000, o)) for o in (0, 5, 6, 7, 100000)])`,
        `${directory}/volume/text`,
      );
      expect(tail).toBe('[6, 1, 0, 0, 0]');
    });

    it('reads ranges beyond 4 GiB, across pages and at the end', async () => {
      const size = 5 * GIB + 12_345;
      for (const [offset, length] of [
        [0, 10],
        [4095, 2],
        [4 * GIB - 3, 7],
        [4 * GIB + 65_535, 300_000],
        [size - 5, 100],
      ] as const) {
        const { stdout } = await run(
          'dd',
          `if=${directory}/volume/big`,
          'iflag=skip_bytes,count_bytes',
          `skip=${offset}`,
          `count=${length}`,
          'status=none',
        );
        expect(stdout).toEqual(expected(offset, Math.min(length, size - offset)));
      }
    });

    it('serves mmap', async () => {
      const bytes = await python(
        `f = open(sys.argv[1], 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
print([m[o] for o in (0, 5000, 2**32 + 4097, len(m) - 1)], len(m))`,
        `${directory}/volume/big`,
      );
      const at = [0, 5000, 2 ** 32 + 4097, 5 * GIB + 12_344].map(patternByte);
      expect(bytes).toBe(`[${at.join(', ')}] ${5 * GIB + 12_345}`);
    });

    it('serves readers in parallel', async () => {
      const sums = await shell(
        `for i in 1 2 3 4 5 6 7 8; do (tail -c +$((i * 1048576 + 1)) "$1/volume/big" | head -c 4194304 | sha256sum) & done; wait`,
        directory,
      );
      expect(new Set(sums.trim().split('\n')).size).toBe(8);
      const one = await shell('tail -c +1048577 "$1/volume/big" | head -c 4194304 | sha256sum', directory);
      expect(sums).toContain(one);
    });

    it.each([
      ['ENOENT', 'os.stat(p)', 'volume/nothing'],
      ['ENOENT', 'os.stat(p)', 'nothing'],
      ['ENOTDIR', 'os.stat(p)', 'volume/text/below'],
      ['EISDIR', 'os.read(os.open(p, os.O_RDONLY), 1)', 'volume/sub'],
      ['EINVAL', 'os.readlink(p)', 'volume/text'],
      ['ENAMETOOLONG', 'os.stat(p)', `volume/${'n'.repeat(256)}`],
      ['EROFS', 'os.open(p, os.O_WRONLY)', 'volume/text'],
      ['EROFS', 'os.mkdir(p)', 'volume/new'],
      ['EROFS', 'os.unlink(p)', 'volume/text'],
      ['EROFS', 'os.chmod(p, 0o777)', 'volume/text'],
    ])('fails with %s: %s of %s', async (errno, expression, path) => {
      expect(await errnoOf(expression, `${directory}/${path}`)).toBe(errno);
    });

    it.each(FAILURES)('fails with what %s stands for, %s, and reports it', async (code, errno) => {
      errors.length = 0;
      expect(await errnoOf('os.stat(p)', `${directory}/volume/failing/lookup-${code}`)).toBe(errno);
      expect(await errnoOf('open(p, "rb").read()', `${directory}/volume/failing/read-${code}`)).toBe(errno);
      expect(errors.length).toBeGreaterThanOrEqual(2);
      expect(errors).toContain('READ');
    });

    it('lists a directory some of whose children cannot be had', async () => {
      const names = await shell('ls "$1/volume/failing" | wc -l', directory);
      expect(Number(names)).toBe(2 * FAILURES.length);
    });

    it('answers statfs', async () => {
      const line = await shell('stat -f -c "%S %l %f" "$1" && stat -f -c "%b * %S" "$1"', directory);
      const [sizes, product] = line.split('\n');
      expect(sizes).toMatch(/^\d+ 255 0$/);
      expect(
        (product ?? '')
          .split(' * ')
          .map(Number)
          .reduce((a, b) => a * b),
      ).toBe(8 * 2 ** 40);
    });

    it('has no xattrs where they are turned off', async () => {
      expect(await errnoOf('os.getxattr(p, "user.ipfs.cid")', `${directory}/volume/text`)).toBe('ENOTSUP');
    });

    it('shows names that come into the root at once, and their content', async () => {
      expect(await errnoOf('os.stat(p)', `${directory}/later`)).toBe('ENOENT');
      await shell('ls "$1" >/dev/null', directory);
      fileSystem.setRootName('later', { inside: 'fresh' });
      fileSystem.setRootName('later-file', 'file volume');
      expect(await shell('cat "$1/later/inside" "$1/later-file"', directory)).toBe('freshfile volume');
      expect((await shell('ls "$1"', directory)).split('\n')).toContain('later');
    });

    it('no longer lists names that left the root, nor finds them', async () => {
      fileSystem.setRootName('passing', { inside: 'x' });
      await shell('ls "$1" "$1/passing"', directory);
      fileSystem.removeRootName('passing');
      expect((await shell('ls "$1"', directory)).split('\n')).not.toContain('passing');
      await until('the name is gone', async () => (await errnoOf('os.stat(p)', `${directory}/passing`)) === 'ENOENT');
    });

    it(`is not held up by 64 that hang${can.parallelLookups ? '' : ' (look-ups in one directory wait for each other)'}`, async () => {
      const before = fileSystem.waiting;
      const hanging = Array.from({ length: 64 }, (_, i) => start('cat', `${directory}/volume/absent/crowd-${i}`));
      await until('they wait', () => fileSystem.waiting - before >= (can.parallelLookups ? 64 : 1));
      const served = await shell('cd "$1/volume" && cat sub/deeper/leaf text && ls many | wc -l', directory);
      expect(served).toBe(`deephello\n${MANY}\n`);
      // Those that queue behind another in the kernel come when it has gone.
      const arriving = setInterval(() => fileSystem.arrive(), 10);
      const codes = await Promise.all(hanging.map(async ({ outcome }) => (await outcome).code));
      clearInterval(arriving);
      expect(codes).toEqual(codes.map(() => 0));
    });

    if (can.interrupts)
      it('kill -9 ends whoever waits in look-up, read or listing within a second', async () => {
        await hangingReader(fileSystem);
        for (const [program, path] of [
          ['stat', 'volume/absent/killed'],
          ['ls', 'volume/unlisted'],
          ['cat', 'hanging/file'],
          ['python3', 'hanging/direct'],
        ] as const) {
          const waitingBefore = fileSystem.waiting;
          const args = program === 'python3' ? ['-c', DIRECT_READ, `${directory}/${path}`] : [`${directory}/${path}`];
          const reader = start(program, ...args);
          await until(`${program} waits`, () => fileSystem.waiting > waitingBefore);
          const killedAt = performance.now();
          reader.child.kill('SIGKILL');
          expect((await reader.outcome).signal).toBe('SIGKILL');
          expect(performance.now() - killedAt, `${program} ${path}`).toBeLessThan(GONE_WITHIN_MS);
          if (program !== 'cat') await until('the want is dropped', () => fileSystem.waiting === waitingBefore);
        }
        fileSystem.arrive();
      });

    if (can.interrupts)
      it('who waits in the kernel for another’s look-up of the same name is gone, once killed, as soon as that one is', async () => {
        const path = `${directory}/volume/absent/shared`;
        const first = start('stat', path);
        await until('the first waits', () => fileSystem.waiting > 0);
        const second = start('stat', path);
        const waitsIn = () => readFileSync(`/proc/${second.child.pid}/wchan`, 'utf8');
        await until('the second waits for the first', () => waitsIn() === 'd_alloc_parallel');
        second.child.kill('SIGKILL');
        await until('the signal is pending', () => pendingKill(second.child.pid));
        // No request of its own, and so nothing that we could answer: no signal reaches it there.
        expect([fileSystem.waiting, waitsIn()]).toEqual([1, 'd_alloc_parallel']);
        const killedAt = performance.now();
        first.child.kill('SIGKILL');
        const ends = await Promise.all([first.outcome, second.outcome]);
        expect(ends.map(({ signal }) => signal)).toEqual(['SIGKILL', 'SIGKILL']);
        expect(performance.now() - killedAt).toBeLessThan(LIMIT_MS / 2);
        await until('the want is dropped', () => fileSystem.waiting === 0);
      });

    if (can.interrupts)
      it('a mere signal does not fail what arrives soon after it', async () => {
        const reader = start(
          'python3',
          '-c',
          `import os, signal, sys
signal.signal(signal.SIGALRM, lambda *_: print('alarm', flush=True))
print(os.stat(sys.argv[1]).st_size, flush=True)`,
          `${directory}/volume/absent/signalled`,
        );
        await until('it waits', () => fileSystem.waiting > 0);
        const before = mounted.requestCounts.get('INTERRUPT') ?? 0;
        reader.child.kill('SIGALRM');
        await until('the signal came', () => (mounted.requestCounts.get('INTERRUPT') ?? 0) > before);
        fileSystem.arrive();
        const { stdout, stderr } = await reader.outcome;
        expect([stdout.toString(), stderr]).toEqual(['alarm\n0\n', '']);
      });

    if (can.interrupts)
      it('a signal makes what does not arrive fail with EINTR', async () => {
        const reader = start(
          'python3',
          '-c',
          `import os, signal, sys
class Interrupted(Exception): pass
def handler(*_): raise Interrupted
signal.signal(signal.SIGALRM, handler)
try:
  os.stat(sys.argv[1])
except Interrupted:
  print('interrupted')`,
          `${directory}/volume/absent/given-up`,
        );
        await until('it waits', () => fileSystem.waiting > 0);
        reader.child.kill('SIGALRM');
        const { stdout, stderr } = await reader.outcome;
        expect([stdout.toString(), stderr]).toEqual(['interrupted\n', '']);
      });

    if (!can.interrupts)
      it('(no interrupts here: whoever waits ends with its data)', async () => {
        const reader = start('stat', `${directory}/volume/absent/awaited`);
        await until('it waits', () => fileSystem.waiting > 0);
        fileSystem.arrive();
        expect((await reader.outcome).code).toBe(0);
      });

    if (can.keepsPages)
      it('asks once for what was read, listed and looked up', async () => {
        const tar = () => shell('tar -C "$1/volume" -cf - sub odd | wc -c', directory);
        await tar();
        const before = new Map(mounted.requestCounts);
        await tar();
        const asked = [...mounted.requestCounts]
          .filter(([name, count]) => count !== before.get(name))
          .map(([name]) => name);
        // The walk through the root, whose names change, and nothing below it.
        expect(asked.filter((name) => !['LOOKUP', 'GETATTR', 'FORGET', 'BATCH_FORGET'].includes(name))).toEqual([]);
        expect((mounted.requestCounts.get('LOOKUP') ?? 0) - (before.get('LOOKUP') ?? 0)).toBeLessThan(10);
      });

    it('counts requests by operation', () => {
      expect(mounted.requestCounts.get('READ')).toBeGreaterThan(0);
      expect(mounted.requestCounts.get('GETATTR')).toBeGreaterThan(0);
    });
  });

  describe(
    'its life',
    () => {
      const mount = async (tree: Tree, options: { extendedAttributes?: boolean } = {}) => {
        const fileSystem = new MemoryFileSystem(tree, options);
        const directory = await emptyDirectory();
        const mounted = await transport.mount(fileSystem, directory, {
          fsName: 'contract-test',
          logger: silentLogger(),
        });
        return { fileSystem, directory, mounted };
      };

      it('serves xattrs where they are turned on', async () => {
        const { directory, mounted } = await mount({ volume: { text: 'x' } }, { extendedAttributes: true });
        expect(await errnoOf('os.getxattr(p, "user.ipfs.cid")', `${directory}/volume/text`)).toMatch(/^b'node-\d+'$/);
        expect(await errnoOf('os.getxattr(p, "user.other")', `${directory}/volume/text`)).toBe('ENODATA');
        expect(await errnoOf('os.listxattr(p)', `${directory}/volume/text`)).toBe("['user.ipfs.cid']");
        await mounted.unmount();
        await removeDirectory(directory);
      });

      it('unmount() resolves with the mount gone, all look-ups given back or abandoned, ended as "unmounted"', async () => {
        const { directory, mounted } = await mount({ volume: { text: 'x' } });
        await shell('cat "$1/volume/text"', directory);
        await mounted.unmount();
        expect(await mounted.ended).toBe('unmounted');
        expect(await shell('grep -c " $1 " /proc/mounts || true', directory)).toBe('0\n');
        await removeDirectory(directory);
      });

      it('umount from outside ends it as "lost"', async () => {
        const { directory, mounted } = await mount({ volume: { text: 'x' } });
        await shell('cat "$1/volume/text" && umount "$1"', directory);
        expect(await mounted.ended).toBe('lost');
        await removeDirectory(directory);
      });

      it('unmount() while somebody waits for absent content ends their wait', async () => {
        const { directory, fileSystem, mounted } = await mount({ volume: { absent: { $absent: true } } });
        const reader = start('stat', `${directory}/volume/absent`);
        await until('it waits', () => fileSystem.waiting > 0);
        await mounted.unmount();
        expect((await reader.outcome).code).not.toBe(0);
        expect(fileSystem.waiting).toBe(0);
        await removeDirectory(directory);
      });

      it('mounts again where it was mounted before', async () => {
        const { directory, mounted } = await mount({ volume: { text: 'first' } });
        await mounted.unmount();
        const again = await transport.mount(new MemoryFileSystem({ volume: { text: 'second' } }), directory, {
          fsName: 'contract-test',
          logger: silentLogger(),
        });
        expect(await shell('cat "$1/volume/text"', directory)).toBe('second');
        await again.unmount();
        await removeDirectory(directory);
      });

      it('refuses a directory that is not there with MOUNT_FAILED', async () => {
        const mounting = transport.mount(new MemoryFileSystem({}), '/nonexistent/directory', {
          fsName: 'contract-test',
          logger: silentLogger(),
        });
        await expect(mounting).rejects.toMatchObject({
          code: 'MOUNT_FAILED',
          message: expect.stringContaining('/nonexistent'),
        });
      });
    },
    LIMIT_MS,
  );
}

/** Reads past the page cache, so that the request has a process that waits for it and can be interrupted. */
const DIRECT_READ = `import os, sys, mmap
f = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
os.preadv(f, [mmap.mmap(-1, 4096)], 0)`;

/** Whether SIGKILL was sent to that process and not acted on yet. */
function pendingKill(pid: number | undefined): boolean {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const pending = ['SigPnd', 'ShdPnd'].map((name) =>
    BigInt(`0x${new RegExp(`^${name}:\\s+(\\w+)`, 'm').exec(status)?.[1]}`),
  );
  return pending.some((signals) => (signals & 0x100n) !== 0n);
}

async function hangingReader(fileSystem: MemoryFileSystem): Promise<void> {
  const never = { size: 1_000_000, $read: fileSystem.never };
  fileSystem.setRootName('hanging', { file: never, direct: never });
}

function expected(offset: number, length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => patternByte(offset + index)));
}
