/**
 * What programs may rely on below a mountpoint, claim by claim (docs/SEMANTICS.md names these tests): system calls from
 * processes of all kinds on content that the shipped daemon serves through the real kernel.
 */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errnoOf, python, run, shell } from '../../fuse/outside.ts';
import { startDaemon, type TestDaemon } from '../../support/daemon.ts';
import { describeWith } from '../../support/machine.ts';
import { addPath } from './support/command-line.ts';
import { expectSameTree } from './support/same-tree.ts';
import { noise } from './support/source-trees.ts';

const SIZE = 3_000_017;
const CONTENT = noise(SIZE);
const ENTRIES = 2000;
const NOBODY = 65_534;

function makeTree(directory: string): void {
  mkdirSync(join(directory, 'sub', 'deeper'), { recursive: true });
  mkdirSync(join(directory, 'many'));
  mkdirSync(join(directory, 'private'), { mode: 0o700 });
  writeFileSync(join(directory, 'private', 'inside'), 'x', { mode: 0o644 });
  for (let index = 0; index < ENTRIES; index++) writeFileSync(join(directory, 'many', `entry-${index}`), `${index}`);
  writeFileSync(join(directory, 'file'), CONTENT);
  writeFileSync(join(directory, 'twin'), CONTENT);
  // Metadata is content: only with the same time are they the same file.
  for (const name of ['file', 'twin']) utimesSync(join(directory, name), 1_600_000_000, 1_600_000_000);
  writeFileSync(join(directory, 'empty'), '');
  writeFileSync(join(directory, 'secret'), 'for its owner', { mode: 0o600 });
  writeFileSync(join(directory, 'hole'), '');
  truncateSync(join(directory, 'hole'), 5_000_000);
  symlinkSync('sub/deeper', join(directory, 'link'));
  writeFileSync(join(directory, 'program'), '#!/bin/sh\nexec echo "ran with $1"\n', { mode: 0o755 });
  writeFileSync(join(directory, 'not-executable'), '#!/bin/sh\necho no\n', { mode: 0o644 });
  writeFileSync(join(directory, 'set-user-id'), '#!/bin/sh\n');
  chmodSync(join(directory, 'set-user-id'), 0o6755);
}

describeWith(['root', 'fuse'], 'semantics', () => {
  let scratch: string;
  let source: string;
  let daemon: TestDaemon;
  let root: string;
  /** Where the content is mounted, as it was added. */
  let at: string;
  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'semantics-'));
    source = join(scratch, 'source');
    makeTree(source);
    daemon = await startDaemon();
    // Strangers must get as far as the mount.
    chmodSync(daemon.directory, 0o711);
    root = await addPath(daemon.socketPath, source);
    at = await daemon.mount('content', root);
  });
  afterAll(async () => {
    await daemon?.[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true, force: true });
  });

  describe('stat', () => {
    test('st_size, st_blocks, st_blksize, st_nlink, times and device', async () => {
      const shown = await shell('cd "$1" && stat -c "%n %s %b %B %o %h" file empty sub link hole', at);
      expect(shown.trimEnd().split('\n')).toEqual([
        `file ${SIZE} ${Math.ceil(SIZE / 512)} 512 131072 1`,
        'empty 0 0 512 131072 1',
        'sub 0 0 512 131072 1',
        'link 10 1 512 131072 1',
        `hole 5000000 ${Math.ceil(5_000_000 / 512)} 512 131072 1`,
      ]);
      expect(
        await python('s = os.stat(sys.argv[1]); print(s.st_atime_ns == s.st_mtime_ns == s.st_ctime_ns)', `${at}/file`),
      ).toBe('True');
    });

    test('st_ino stays as long as the mount, and is what a listing says', async () => {
      const inodes = () =>
        python(
          `d = sys.argv[1]
listed = {e.name: e.inode() for e in os.scandir(d)}
print(sorted((n, i) for n, i in listed.items() if i != os.lstat(d + '/' + n).st_ino), sorted(listed.items()))`,
          at,
        );
      const before = await inodes();
      expect(before).toMatch(/^\[\] /);
      await shell('echo 2 > /proc/sys/vm/drop_caches', at);
      expect(await inodes()).toBe(before);
    });

    test('equal files are one inode, in all volumes of the same options; st_nlink is 1 all the same', async () => {
      const again = await daemon.mount('again', root);
      const shown = await shell('stat -c "%d:%i %h" "$1/file" "$1/twin" "$2/file"', at, again);
      const [first, ...others] = shown.trimEnd().split('\n');
      expect(others).toEqual([first, first]);
      // So a tar of the tree has two files. (Of several names on its command line tar looks at the inode alone, and links.)
      const tar = 'tar -C "$1" -cf - --exclude=./many . | tar -tvf - | grep -c "^-.* ./\\(file\\|twin\\)$"';
      expect(await shell(tar, at)).toBe('2\n');
    });

    test('set-user-ID and set-group-ID are not shown, and the mount would not honour them', async () => {
      expect(
        await shell('stat -c %a "$1/set-user-id"; grep " $2 " /proc/mounts | cut -d" " -f4', at, daemon.mountRoot),
      ).toMatch(/^755\nro,nosuid,nodev,/);
    });

    test('statfs: large, nothing free, names of 255 bytes', async () => {
      expect(await shell('stat -f -c "%S %b %f %a %l" "$1"', at)).toBe('4096 268435456 0 0 255\n');
      expect((await run('df', at)).code).toBe(0);
    });
  });

  describe('listing', () => {
    test('has each entry once, with its kind, in an order that stays', async () => {
      const list = () => shell('ls -f -A "$1/many"', at);
      const names = (await list()).trimEnd().split('\n');
      expect([names.length, new Set(names).size]).toEqual([ENTRIES, ENTRIES]);
      await shell('echo 2 > /proc/sys/vm/drop_caches', at);
      expect((await list()).trimEnd().split('\n')).toEqual(names);
      expect(
        await python(
          'print(sorted((e.name, e.is_dir(follow_symlinks=False), e.is_symlink()) for e in os.scandir(sys.argv[1]) if e.name in ("file", "link", "sub")))',
          at,
        ),
      ).toBe("[('file', False, False), ('link', False, True), ('sub', True, False)]");
    });

    test('telldir and seekdir go back to any place, also in another pass', async () => {
      expect(
        await python(
          `import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p; libc.telldir.restype = ctypes.c_long
d = ctypes.c_void_p(libc.opendir(sys.argv[1].encode()))
name = lambda e: ctypes.string_at(e + 19)
places = []
while True:
  place = libc.telldir(d); e = libc.readdir(d)
  if not e: break
  places.append((place, name(e)))
def check(order):
  for place, expected in order:
    libc.seekdir(d, ctypes.c_long(place))
    if name(libc.readdir(d)) != expected: return False
  return True
print(len(places), check(places[::-97]), check(places[::101]))`,
          `${at}/many`,
        ),
      ).toBe(`${ENTRIES + 2} True True`);
    });
  });

  describe('names', () => {
    test.each([
      ['ENOENT', 'os.stat(p)', 'nothing'],
      ['ENOENT', 'os.stat(p)', `${'n'.repeat(255)}`],
      ['ENAMETOOLONG', 'os.stat(p)', 'n'.repeat(256)],
      ['ENAMETOOLONG', 'os.stat(p)', 'ü'.repeat(128)],
      ['ENOTDIR', 'os.stat(p)', 'file/below'],
      ['ENOTDIR', 'os.listdir(p)', 'file'],
      ['EISDIR', 'os.read(os.open(p, os.O_RDONLY), 1)', 'sub'],
      ['EINVAL', 'os.readlink(p)', 'file'],
      ['ELOOP', 'os.open(p, os.O_RDONLY | os.O_NOFOLLOW)', 'link'],
    ])('%s: %s of %s', async (errno, expression, path) => {
      expect(await errnoOf(expression, `${at}/${path}`)).toBe(errno);
    });

    test('one that is not there is asked for once', async () => {
      const lookups = async () =>
        Number(/^ipfs_volume_fuse_requests_total\{operation="lookup"\} (\d+)/m.exec(await metrics())?.[1]);
      const ask = () => errnoOf('os.stat(p)', `${at}/sub/missing`);
      expect(await ask()).toBe('ENOENT');
      const before = await lookups();
      expect(await ask()).toBe('ENOENT');
      // The volume's own name is asked for again each time, the missing one is not.
      expect((await lookups()) - before).toBeLessThanOrEqual(1);
    });
  });

  describe('writing', () => {
    test.each([
      ['open for writing', 'os.open(p + "/file", os.O_WRONLY)'],
      ['open for reading and writing', 'os.open(p + "/file", os.O_RDWR)'],
      ['open with O_TRUNC', 'os.open(p + "/file", os.O_RDONLY | os.O_TRUNC)'],
      ['creat', 'os.open(p + "/new", os.O_CREAT | os.O_WRONLY)'],
      ['O_TMPFILE', 'os.open(p, os.O_TMPFILE | os.O_RDWR)'],
      ['truncate', 'os.truncate(p + "/file", 0)'],
      ['mkdir', 'os.mkdir(p + "/new")'],
      ['mknod', 'os.mknod(p + "/new", stat.S_IFIFO | 0o600)'],
      ['unlink', 'os.unlink(p + "/file")'],
      ['rmdir', 'os.rmdir(p + "/sub/deeper")'],
      ['rename', 'os.rename(p + "/file", p + "/other")'],
      ['link', 'os.link(p + "/file", p + "/other")'],
      ['symlink', 'os.symlink("x", p + "/new")'],
      ['chmod', 'os.chmod(p + "/file", 0o777)'],
      ['chown', 'os.chown(p + "/file", 1, 1)'],
      ['utimes', 'os.utime(p + "/file", (1, 1))'],
      ['setxattr', 'os.setxattr(p + "/file", "user.x", b"y")'],
      ['removexattr', 'os.removexattr(p + "/file", "user.x")'],
      ['access(W_OK)', 'None if os.access(p + "/file", os.W_OK) else (_ for _ in ()).throw(OSError(errno.EROFS, ""))'],
    ])('%s fails with EROFS', async (_call, expression) => {
      expect(await errnoOf(expression, at)).toBe('EROFS');
    });

    test('of the names of volumes too, and a mapping that is shared and writable cannot be made', async () => {
      expect(await errnoOf('os.mkdir(p + "/new")', daemon.mountRoot)).toBe('EROFS');
      expect(await errnoOf('os.rmdir(p + "/content")', daemon.mountRoot)).toBe('EROFS');
      expect(await errnoOf('mmap.mmap(os.open(p, os.O_RDONLY), 0, prot=mmap.PROT_WRITE)', `${at}/file`)).toBe('EACCES');
      expect(
        await python(
          'm = mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 0, access=mmap.ACCESS_COPY); m[0] = 65; print(m[:1])',
          `${at}/file`,
        ),
      ).toBe("b'A'");
    });
  });

  describe('permissions', () => {
    /** What `expression` gives to nobody in particular. */
    const stranger = (expression: string, path: string) =>
      errnoOf(`[os.setgroups([]), os.setgid(${NOBODY}), os.setuid(${NOBODY}), ${expression}][-1]`, path);

    test('the kernel checks the modes of the content, for whoever is not root', async () => {
      expect(await stranger('len(open(p, "rb").read())', `${at}/file`)).toBe(String(SIZE));
      expect(await stranger('open(p).read()', `${at}/secret`)).toBe('EACCES');
      expect(await stranger('os.listdir(p)', `${at}/private`)).toBe('EACCES');
      expect(await stranger('os.stat(p)', `${at}/private/inside`)).toBe('EACCES');
      expect(await stranger('[os.access(p, m) for m in (os.R_OK, os.W_OK, os.X_OK)]', `${at}/program`)).toBe(
        '[True, False, True]',
      );
      expect(await shell('cat "$1/secret"', at)).toBe('for its owner');
    });

    test('uid= and gid= make an owner, file-mode= and dir-mode= modes where the content has none', async () => {
      const owned = await daemon.mount('owned', root, { uid: '65534', gid: '65534' });
      expect(await stranger('open(p).read()', `${owned}/secret`)).toBe('for its owner');
      const plain = await addPath(daemon.socketPath, source, '--no-metadata');
      const closed = await daemon.mount('closed', plain, { 'file-mode': '0400', 'dir-mode': '0755' });
      expect(await stranger('open(p).read()', `${closed}/file`)).toBe('EACCES');
      expect(await stranger('len(os.listdir(p))', `${closed}/many`)).toBe(String(ENTRIES));
    });

    test('set-user-ID in file-mode= is refused', async () => {
      await expect(daemon.create('wrong', root, { 'file-mode': '4755' })).rejects.toThrow(/file-mode=4755/);
    });
  });

  describe('reading', () => {
    test.each([
      ['read, 1 byte over the end', 'f = os.open(p, os.O_RDONLY); out = os.read(f, 4 << 20) + os.read(f, 1)'],
      [
        'pread in pieces that cross pages and chunks',
        'f = os.open(p, os.O_RDONLY); out = b"".join(os.pread(f, 70001, o) for o in range(0, size, 70001))',
      ],
      ['one pread of 1 GiB', 'f = os.open(p, os.O_RDONLY); out = os.pread(f, 1 << 30, 0)'],
      [
        'preadv into several buffers',
        'f = os.open(p, os.O_RDONLY); bs = [bytearray(1 << 20) for _ in range(3)]; n = os.preadv(f, bs, 0); out = b"".join(bs)[:n]',
      ],
      ['mmap, shared', 'f = os.open(p, os.O_RDONLY); out = bytes(mmap.mmap(f, 0, prot=mmap.PROT_READ))'],
      [
        'mmap, private, backwards',
        'f = os.open(p, os.O_RDONLY); m = mmap.mmap(f, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ); out = b"".join(m[o:o + 4096] for o in range(0, size, 4096)[::-1][::-1])',
      ],
      [
        'O_DIRECT',
        `f = os.open(p, os.O_RDONLY | os.O_DIRECT); m = mmap.mmap(-1, 1 << 20); out = b""
while (n := os.preadv(f, [m], len(out))) > 0: out += m[:n]`,
      ],
      [
        'sendfile',
        `f = os.open(p, os.O_RDONLY); import tempfile, socket
a, b = socket.socketpair(); import threading
got = []
t = threading.Thread(target=lambda: got.extend(iter(lambda: b.recv(65536), b''))); t.start()
at = 0
while at < size: at += os.sendfile(a.fileno(), f, at, size - at)
a.close(); t.join(); out = b"".join(got)`,
      ],
      [
        'splice',
        `f = os.open(p, os.O_RDONLY); r, w = os.pipe(); out = b""
while True:
  n = os.splice(f, w, 65536)
  if n == 0: break
  while n > 0:
    piece = os.read(r, n); out += piece; n -= len(piece)`,
      ],
      [
        'after posix_fadvise and readahead',
        `f = os.open(p, os.O_RDONLY); import ctypes
for advice in (os.POSIX_FADV_SEQUENTIAL, os.POSIX_FADV_RANDOM, os.POSIX_FADV_WILLNEED, os.POSIX_FADV_NOREUSE, os.POSIX_FADV_DONTNEED):
  os.posix_fadvise(f, 0, 0, advice)
if ctypes.CDLL(None).readahead(f, ctypes.c_long(0), ctypes.c_size_t(size)) != 0: raise SystemExit('readahead')
out = os.pread(f, size, 0)`,
      ],
      [
        '16 threads at once',
        `import concurrent.futures as c
f = os.open(p, os.O_RDONLY)
with c.ThreadPoolExecutor(16) as pool: out = b"".join(pool.map(lambda o: os.pread(f, 50021, o), range(0, size, 50021)))`,
      ],
    ])('%s', async (_way, script) => {
      const found = await python(
        `import hashlib
p = sys.argv[1]; size = os.stat(p).st_size
${script}
print(len(out), hashlib.sha256(out).hexdigest() == hashlib.sha256(open(sys.argv[2], 'rb').read()).hexdigest())`,
        `${at}/file`,
        join(source, 'file'),
      );
      expect(found).toBe(`${SIZE} True`);
    });

    test('a file says of no part of itself that it is a hole', async () => {
      expect(
        await python(
          'f = os.open(sys.argv[1], os.O_RDONLY); print(os.lseek(f, 0, os.SEEK_DATA), os.lseek(f, 100, os.SEEK_HOLE), os.lseek(f, 0, os.SEEK_END))',
          `${at}/hole`,
        ),
      ).toBe('0 5000000 5000000');
      expect(await errnoOf('os.lseek(os.open(p, os.O_RDONLY), 5000001, os.SEEK_DATA)', `${at}/hole`)).toBe('ENXIO');
      expect(await shell('cmp "$1/hole" "$2"', at, join(source, 'hole'))).toBe('');
    });
  });

  describe('programs', () => {
    test('are run from the mount where their mode says so', async () => {
      expect(await shell('"$1/program" argument', at)).toBe('ran with argument\n');
      expect((await run('sh', '-c', '"$1"', 'sh', `${at}/not-executable`)).code).toBe(126);
    });

    test('a binary, with its shared mapping', async () => {
      const binary = join(scratch, 'binary');
      await shell(
        'mkdir "$1" && cp "$(command -v busybox || command -v true)" "$1/true" && chmod 755 "$1/true"',
        binary,
      );
      const mounted = await daemon.mount('binary', await addPath(daemon.socketPath, binary));
      expect((await run(`${mounted}/true`)).code).toBe(0);
    });

    test('tar, cp -a, find and diff work as on any disk', async () => {
      const copies = join(scratch, 'copies');
      await shell(
        'mkdir "$1" && cp -a "$2/." "$1/cp" && mkdir "$1/tar" && tar --format=posix -C "$2" -cf - . | tar -C "$1/tar" -xpf -',
        copies,
        at,
      );
      const plain = (entry: Parameters<Parameters<typeof expectSameTree>[2] & {}>[0]) => ({
        ...entry,
        mode: `0o${(Number(entry.mode) & 0o777).toString(8)}`,
      });
      await expectSameTree(join(copies, 'cp'), source, plain);
      await expectSameTree(join(copies, 'tar'), source, plain);
      expect(await shell('diff -r "$1" "$2" && find "$1" -name "entry-1?" | wc -l', at, source)).toBe('10\n');
      expect(
        await shell('find "$1" -newer "$1/file" -type f -size +1M | wc -l; du -s --apparent-size "$1" > /dev/null', at),
      ).toMatch(/^\d+\n$/);
    });

    test('git finds a work tree of a mount unchanged', async () => {
      const repository = join(scratch, 'repository');
      await shell(
        'mkdir "$1" && cd "$1" && git init -q && printf a > a && mkdir d && printf b > d/b && git add . && git -c user.name=n -c user.email=e commit -qm x',
        repository,
      );
      const mounted = await daemon.mount('repository', await addPath(daemon.socketPath, repository));
      expect(
        await shell(
          'git -c safe.directory="*" -C "$1" status --porcelain && git -c safe.directory="*" -C "$1" log --format=%s',
          mounted,
        ),
      ).toBe('x\n');
    });
  });

  describe('locks and watches', () => {
    test('flock and fcntl locks for reading are the kernel’s own, between processes of this machine', async () => {
      expect(
        await python(
          `import fcntl
a = os.open(sys.argv[1], os.O_RDONLY); b = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(a, fcntl.LOCK_EX)
try: fcntl.flock(b, fcntl.LOCK_SH | fcntl.LOCK_NB); print('both')
except BlockingIOError: print('held')
fcntl.flock(a, fcntl.LOCK_UN)
fcntl.lockf(b, fcntl.LOCK_SH | fcntl.LOCK_NB); print('shared')
fcntl.fcntl(a, fcntl.F_SETLEASE, fcntl.F_RDLCK); print('leased')`,
          `${at}/file`,
        ),
      ).toBe('held\nshared\nleased');
    });

    test('inotify can watch, and sees who reads', async () => {
      expect(
        await python(
          `import ctypes, select
libc = ctypes.CDLL(None, use_errno=True)
i = libc.inotify_init1(0)
w = libc.inotify_add_watch(i, sys.argv[1].encode(), 0x20 | 0x2)
os.close(os.open(sys.argv[1], os.O_RDONLY))
print(w > 0, bool(select.select([i], [], [], 10)[0]))`,
          `${at}/file`,
        ),
      ).toBe('True True');
    });
  });

  describe('extended attributes', () => {
    test('there are none, unless they are turned on', async () => {
      expect(await errnoOf('os.getxattr(p, "user.ipfs.cid")', `${at}/file`)).toBe('ENOTSUP');
      expect(await errnoOf('os.listxattr(p)', `${at}/file`)).toBe('ENOTSUP');
    });

    test('turned on: the CID of files and directories', async () => {
      await using other = await startDaemon({ settings: { XATTRS: 'on' } });
      const cid = await addPath(other.socketPath, source);
      const mounted = await other.mount('content', cid);
      expect(await errnoOf('os.getxattr(p, "user.ipfs.cid").decode()', mounted)).toBe(cid);
      expect(await errnoOf('os.listxattr(p)', `${mounted}/file`)).toBe("['user.ipfs.cid']");
      const file = await errnoOf('os.getxattr(p, "user.ipfs.cid").decode()', `${mounted}/file`);
      expect(await errnoOf('os.getxattr(p, "user.other")', `${mounted}/file`)).toBe('ENODATA');
      // It is a reference like any other.
      expect(await shell('cmp "$1" "$2"', await other.mount('file', file), join(source, 'file'))).toBe('');
    });
  });

  function metrics(): Promise<string> {
    return shell('curl -s --unix-socket "$1" http://ipfs-volume/metrics', daemon.socketPath);
  }
});
