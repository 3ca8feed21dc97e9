import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { expect, test } from 'vitest';
import { ControlServer } from './support/control-server.ts';
import { Scratch } from './support/scratch.ts';

const ENTRY = fileURLToPath(new URL('support/entry.ts', import.meta.url));
const SYSTEM_NODE = '/usr/bin/node';
const run = promisify(execFile);

/** What the process said, and how it ended, once it did. */
async function ended(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const said = { stdout: '', stderr: '' };
  child.stdout?.on('data', (text) => {
    said.stdout += text;
  });
  child.stderr?.on('data', (text) => {
    said.stderr += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, ...said };
}

/** As it is shipped: bundled, split at dynamic imports. */
async function bundle(scratch: Scratch): Promise<string> {
  await build({
    entryPoints: { cli: ENTRY },
    outdir: scratch.path,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    logLevel: 'error',
    // Some CommonJS dependencies call require of built-in modules.
    banner: { js: "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);" },
  });
  return scratch.at('cli.mjs');
}

test('has threads enough for two disks that hang, and more', async () => {
  const program = `
    import { readdirSync } from 'node:fs';
    import { stat } from 'node:fs/promises';
    import { main } from '${new URL('../../src/cli/main.ts', import.meta.url)}';
    await main({
      version: '1.2.3',
      loadCommands: async () => {
        await Promise.all(Array.from({ length: 100 }, () => stat('/')));
        console.log(readdirSync('/proc/self/task').length);
        process.exit();
      },
    });
  `;
  const threads = async (env: Record<string, string>) => {
    const { UV_THREADPOOL_SIZE: _, ...rest } = process.env;
    const node = ['--input-type=module', '-e', program, '--', 'status'];
    return Number((await run(process.execPath, node, { env: { ...rest, ...env } })).stdout);
  };
  // Whoever sets another number has that one. A process has a few threads besides.
  expect((await threads({})) - (await threads({ UV_THREADPOOL_SIZE: '1' }))).toBe(31);
});

test('the bundle says in one line that Node is too old, and works under this one', async () => {
  using scratch = new Scratch();
  const cli = await bundle(scratch);
  expect((await run(process.execPath, [cli, '--version'])).stdout).toBe('1.2.3\n');

  // A real old Node where the machine has one: only that shows that nothing is parsed or linked too early.
  const systemVersion = existsSync(SYSTEM_NODE)
    ? execFileSync(SYSTEM_NODE, ['--version']).toString().slice(1).trim()
    : '99';
  const isOld = Number.parseInt(systemVersion, 10) < 24;
  const child = isOld
    ? spawn(SYSTEM_NODE, [cli, 'status'])
    : spawn(process.execPath, [cli, 'status'], { env: { ...process.env, FAKE_NODE_VERSION: '20.19.2' } });
  const { code, stdout, stderr } = await ended(child);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(
    new RegExp(
      `^ipfs-volume: Node 24 or newer is needed, this is Node ${isOld ? systemVersion : '20.19.2'} \\(.*\\)\n$`,
    ),
  );
}, 30_000);

test('a full disk under its output is one line, and a failure', async () => {
  const full = openSync('/dev/full', 'w');
  const child = spawn(process.execPath, [ENTRY, '--version'], { stdio: ['ignore', full, 'pipe'] });
  closeSync(full);
  expect(await ended(child)).toEqual({
    code: 1,
    stdout: '',
    stderr: 'ipfs-volume: standard output: write failed with ENOSPC\n',
  });
});

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s in the middle of add ends it, and the daemon sees it cut',
  async (signal) => {
    using scratch = new Scratch();
    const arrived = Promise.withResolvers<IncomingMessage>();
    await using server = await ControlServer.start({
      // Nothing is taken beyond the first piece, so that the sender has to wait.
      'POST /ipfs-volume/import': (request) => void request.once('readable', () => arrived.resolve(request)),
    });
    writeFileSync(scratch.at('large'), randomBytes(30_000_000));
    const child = spawn(process.execPath, [ENTRY, 'add', '--socket', server.socketPath, scratch.path]);
    const end = ended(child);
    const request = await arrived.promise;
    child.kill(signal);
    expect(await end).toEqual({ code: 1, stdout: '', stderr: 'ipfs-volume: interrupted\n' });
    await expect(request.resume().toArray()).rejects.toThrow('aborted');
  },
  30_000,
);

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s in the middle of store export leaves no FILE, and the daemon sees it leave',
  async (signal) => {
    using scratch = new Scratch();
    const left = Promise.withResolvers<void>();
    await using server = await ControlServer.start({
      'GET /ipfs-volume/store/bafyroot/car': (_request, response) => {
        response.once('close', () => left.resolve());
        response.writeHead(200, { 'content-length': 1000 }).write('a part of it');
      },
    });
    const file = scratch.at('out.car');
    const args = ['store', 'export', '--socket', server.socketPath, 'bafyroot', file];
    const child = spawn(process.execPath, [ENTRY, ...args]);
    const end = ended(child);
    await expect.poll(() => existsSync(`${file}.part`), { timeout: 20_000 }).toBe(true);
    child.kill(signal);
    expect(await end).toEqual({ code: 1, stdout: '', stderr: 'ipfs-volume: interrupted\n' });
    await left.promise;
    expect(readdirSync(scratch.path)).toEqual([]);
  },
  30_000,
);

test.each(['SIGINT', 'SIGTERM'] as const)(
  'mount without a daemon serves until %s, then unmounts and exits 0',
  async (signal) => {
    using scratch = new Scratch();
    const args = ['mount', '--no-daemon', '-o', 'timeout=5s', 'bafkqaaa', scratch.path];
    const child = spawn(process.execPath, [ENTRY, ...args]);
    const ready = new Promise<void>((resolve) => child.stdout?.once('data', () => resolve()));
    const end = ended(child);
    await Promise.race([ready, end]);
    expect(JSON.parse(readFileSync(scratch.at('served'), 'utf8'))).toEqual({
      reference: 'bafkqaaa',
      volumeOptions: { timeout: '5s' },
    });
    child.kill(signal);
    expect(await end).toEqual({ code: 0, stdout: `mounted bafkqaaa at ${scratch.path}\n`, stderr: '' });
    expect(existsSync(scratch.at('served'))).toBe(false);
  },
  30_000,
);

test('output into a closed pipe ends quietly', async () => {
  const { stdout, stderr } = await run('sh', ['-c', `"${process.execPath}" "${ENTRY}" --help | true; echo done`]);
  expect({ stdout, stderr }).toEqual({ stdout: 'done\n', stderr: '' });
}, 30_000);

test('a failed import ends though standard input stays open', async () => {
  await using server = await ControlServer.start({
    'POST /ipfs-volume/import': (request, response) => {
      request.once('data', () => {
        // As the daemon does: it reads on, since closing under a sender's hands may lose the answer.
        response.writeHead(507);
        response.end(JSON.stringify({ code: 'STORE_FULL', message: 'the local store has no space left' }));
        request.resume();
      });
    },
  });
  const child = spawn(process.execPath, [ENTRY, 'import', '--socket', server.socketPath, '-']);
  child.stdin.on('error', () => {});
  child.stdin.write(randomBytes(100_000));
  // Never ended by us.
  const { code, stderr } = await ended(child);
  expect({ code, stderr }).toEqual({ code: 1, stderr: 'ipfs-volume: the local store has no space left\n' });
}, 30_000);
