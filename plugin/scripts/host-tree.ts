/**
 * A root file system out of this machine's own files, where neither a registry nor a Debian mirror is reached: Node, the
 * few programs that the plugin and the demo run, and the shared libraries that these name (ldd(1)).
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, realpath, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What the plugin runs, and what makes a container of it worth looking into. */
const PROGRAMS = ['mount', 'umount', 'sync', 'sh', 'cat', 'ls', 'find', 'sha256sum', 'stat', 'sleep', 'sort', 'xargs'];
/** As Debian has them since it merged /usr. */
const LINKS = ['bin', 'sbin', 'lib', 'lib64'];
const DIRECTORIES = ['dev', 'etc', 'mnt', 'proc', 'root', 'run', 'sys', 'tmp', 'usr/bin', 'usr/local/bin', 'var/lib'];

/** Fills `tree`, an empty directory. @throws where a program or a library is not found */
export async function copyHostTree(tree: string): Promise<void> {
  for (const name of [...DIRECTORIES, ...LINKS.map((link) => `usr/${link}`)])
    await mkdir(join(tree, name), { recursive: true });
  for (const name of LINKS) await symlink(`usr/${name}`, join(tree, name));
  await writeFile(join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(tree, 'etc/group'), 'root:x:0:\n');
  await writeFile(join(tree, 'etc/nsswitch.conf'), 'hosts: files dns\n');
  await copyWithLibraries(process.execPath, join(tree, 'usr/local/bin/node'), tree);
  for (const name of PROGRAMS) await copyWithLibraries(await which(name), join(tree, 'usr/bin', name), tree);
}

async function copyWithLibraries(program: string, target: string, tree: string): Promise<void> {
  await copyFile(program, target);
  const { stdout } = await run('ldd', [program]);
  for (const library of librariesOf(stdout)) {
    await mkdir(join(tree, dirname(library)), { recursive: true });
    await copyFile(library, join(tree, library));
  }
}

/** The absolute paths in what ldd(1) prints: `libc.so.6 => /lib/… (0x…)`, and the loader's alone. */
function librariesOf(text: string): string[] {
  const missing = /^\s*(\S+) => not found/m.exec(text);
  if (missing) throw new Error(`this machine lacks the library ${missing[1]}`);
  return [...text.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map((match) => match[1] ?? '');
}

async function which(name: string): Promise<string> {
  for (const directory of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']) {
    const path = await realpath(join(directory, name)).catch(() => undefined);
    if (path !== undefined) return path;
  }
  throw new Error(`this machine has no ${name}`);
}
