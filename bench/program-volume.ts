/**
 * A volume of real programs, 1 GB or more: the machine's Python with all that is installed beside it, this project's
 * node_modules with a program that uses them, and as much of /usr/lib as fills it up. A start touches a few per cent.
 */
import { cp, mkdir, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './child.ts';

const MIN_BYTES = 1024 ** 3;
const PROGRAMS = new URL('./programs/', import.meta.url).pathname;
const MODULES = new URL('../node_modules/', import.meta.url).pathname;
/** Of a compiled module's flags, behind the magic number. */
const FLAGS_OFFSET = 4;
/** Where Python says that it stands. */
const ABOUT_PYTHON = `import sys, sysconfig
print(sys.prefix, sysconfig.get_path("stdlib"), sys.executable, sep="\\n")`;

export interface StartProgram {
  readonly name: string;
  /** The command, with the volume at `directory`. */
  command(directory: string): {
    readonly program: string;
    readonly args: readonly string[];
    readonly env: NodeJS.ProcessEnv;
  };
}

/** Makes the volume in `directory`; gives its size and what is to be started from it. */
export async function makeProgramVolume(
  directory: string,
  minBytes = MIN_BYTES,
): Promise<{ readonly bytes: number; readonly programs: readonly StartProgram[] }> {
  const [prefix = '', library = '', executable = ''] = (await run('python3', ['-c', ABOUT_PYTHON])).trim().split('\n');
  const python = join(directory, 'python');
  const libraryName = library.split('/').at(-1) ?? '';
  await mkdir(join(python, 'bin'), { recursive: true });
  // All of an installation of its own; of the system's, which shares /usr with everything, its library.
  if (prefix === '/usr') {
    await copy(library, join(python, 'lib', libraryName));
    await copy('/usr/lib/python3', join(python, 'lib', 'python3'));
  } else await copy(join(prefix, 'lib'), join(python, 'lib'));
  await cp(await realExecutable(executable, prefix), join(python, 'bin', 'python3'), { dereference: true });
  await cp(join(PROGRAMS, 'python-start.py'), join(directory, 'start.py'));
  await compile(directory);
  await mkdir(join(directory, 'app'));
  await copy(MODULES, join(directory, 'app', 'node_modules'));
  await cp(join(PROGRAMS, 'node-start.mjs'), join(directory, 'app', 'start.mjs'));
  let bytes = await sizeOf(directory);
  for (const name of await largest('/usr/lib')) {
    if (bytes >= minBytes) break;
    await copy(join('/usr/lib', name), join(directory, 'more', name));
    bytes = await sizeOf(directory);
  }
  return { bytes, programs: [pythonProgram, nodeProgram] };
}

/**
 * Content that was added without its times has none, and Python compiles again what is not of its source's time. So its
 * compiled modules are marked as what builds without times ship: to be taken as they are (PEP 552, unchecked).
 */
async function compile(directory: string): Promise<void> {
  const { program, args, env } = pythonProgram.command(directory);
  await run(program, args, { ...env, PYTHONDONTWRITEBYTECODE: '' });
  const flags = Buffer.from([1, 0, 0, 0]);
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.pyc')) continue;
    const file = await open(join(entry.parentPath, entry.name), 'r+');
    try {
      await file.write(flags, 0, flags.length, FLAGS_OFFSET);
    } finally {
      await file.close();
    }
  }
}

const pythonProgram: StartProgram = {
  name: 'python3 and 40 modules',
  command: (directory) => ({
    program: join(directory, 'python', 'bin', 'python3'),
    args: [join(directory, 'start.py')],
    env: { PYTHONHOME: join(directory, 'python'), PYTHONDONTWRITEBYTECODE: '1' },
  }),
};

/** With the machine's own Node, as an image would have it; the application is on the volume. */
const nodeProgram: StartProgram = {
  name: 'a Node application and its node_modules',
  command: (directory) => ({ program: process.execPath, args: [join(directory, 'app', 'start.mjs')], env: {} }),
};

/** A version manager's `python3` is a script. */
async function realExecutable(executable: string, prefix: string): Promise<string> {
  const own = join(prefix, 'bin', 'python3');
  return (await stat(own).catch(() => undefined)) ? own : executable;
}

async function copy(from: string, to: string): Promise<void> {
  await mkdir(join(to, '..'), { recursive: true });
  await run('cp', ['-a', from, to]);
}

async function sizeOf(directory: string): Promise<number> {
  return Number((await run('du', ['-sb', directory])).split('\t')[0]);
}

async function largest(directory: string): Promise<string[]> {
  const output = await run('sh', ['-c', 'cd "$0" && du -sb -- * 2>/dev/null | sort -rn | cut -f2', directory]);
  const names = new Set(await readdir(directory));
  return output
    .trim()
    .split('\n')
    .filter((name) => names.has(name));
}

/** Seconds until the program says that it is ready. @throws where it says something else */
export async function ready(program: StartProgram, directory: string): Promise<number> {
  const { program: path, args, env } = program.command(directory);
  const sinceMs = performance.now();
  const output = await run(path, args, env);
  if (!output.startsWith('ready')) throw new Error(`${program.name} did not start: ${output}`);
  return (performance.now() - sinceMs) / 1000;
}
