/**
 * `mount` through a daemon: the daemon's side is played, the mounts are real.
 *
 * What the played daemon "mounts" is a plain folder; its mount root is a FUSE mount that nobody serves, which is enough,
 * since the command looks at the kernel's table and never at the path.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { detach, runProgram } from '../../src/fuse/run-program.ts';
import { startDaemon } from '../support/daemon.ts';
import { describeWith } from '../support/machine.ts';
import { type Answer, ControlServer, json, readBody } from './support/control-server.ts';
import { SAMPLE_STATUS } from './support/sample-status.ts';
import { Scratch } from './support/scratch.ts';

const ENTRY = fileURLToPath(new URL('support/entry.ts', import.meta.url));

describeWith(['root', 'fuse'], 'mount through a daemon', () => {
  let scratch: Scratch;
  let fuse: number;
  let server: ControlServer;
  let answers: Record<string, Answer>;

  beforeEach(async () => {
    scratch = new Scratch();
    for (const name of ['root', 'content', 'target']) mkdirSync(scratch.at(name));
    writeFileSync(scratch.at('content', 'file'), 'served');
    fuse = openSync('/dev/fuse', 'r+');
    const options = 'fd=3,rootmode=40000,user_id=0,group_id=0';
    const end = await runProgram('mount', ['-i', '-t', 'fuse', '-o', options, 'cli-test', scratch.at('root')], fuse);
    expect(end).toMatchObject({ ok: true });
    answers = {
      'GET /ipfs-volume/status': json({ ...SAMPLE_STATUS, mountRoot: scratch.at('root') }),
      'POST /VolumeDriver.Create': json({ Err: '' }),
      'POST /VolumeDriver.Mount': json({ Mountpoint: scratch.at('content'), Err: '' }),
      'POST /VolumeDriver.Unmount': json({ Err: '' }),
      'POST /VolumeDriver.Remove': json({ Err: '' }),
    };
    server = await ControlServer.start(answers);
  });

  afterEach(async () => {
    await server[Symbol.asyncDispose]();
    await detach(scratch.at('root'));
    closeSync(fuse);
    scratch[Symbol.dispose]();
  });

  /** Starts the command and waits until it says that it is mounted, or ends. */
  async function start(...args: string[]) {
    const child = spawn(process.execPath, [ENTRY, 'mount', '--socket', server.socketPath, ...args]);
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    const closed = once(child, 'close');
    const firstLine = await Promise.race([once(child.stdout, 'data').then(String), closed.then(() => '')]);
    return { child, firstLine, ended: closed.then(([code]) => ({ code, stderr })) };
  }

  const verbs = () => server.asked.slice(1).map(({ url }) => url.replace('/VolumeDriver.', ''));
  const bodyOf = (verb: string) => JSON.parse(String(server.asked.find(({ url }) => url.endsWith(verb))?.body));
  const isMounted = (path: string) => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${path} `);

  test('goes on, and unmounts at the signal, where nobody reads its output', async () => {
    const target = scratch.at('target');
    const child = spawn(process.execPath, [ENTRY, 'mount', '--socket', server.socketPath, 'bafkqaaa', target]);
    const ended = once(child, 'close');
    child.stdout.destroy();
    child.stderr.resume();
    await expect.poll(() => isMounted(target), { timeout: 20_000 }).toBe(true);
    child.kill('SIGTERM');
    await ended;
    expect(isMounted(target)).toBe(false);
    expect(verbs()).toEqual(['Create', 'Mount', 'Unmount', 'Remove']);
  });

  test('binds the directory of a volume of its own, and leaves nothing behind', async () => {
    const target = scratch.at('target');
    const { child, firstLine, ended } = await start('-o', 'timeout=5s', '/ipns/docs.example/sub', target);
    expect(firstLine).toBe(`mounted /ipns/docs.example/sub at ${target}, through the daemon at ${server.socketPath}\n`);
    expect(readFileSync(scratch.at('target', 'file'), 'utf8')).toBe('served');
    expect(bodyOf('Create').Opts).toEqual({ path: '/ipns/docs.example/sub', timeout: '5s' });
    child.kill('SIGTERM');
    expect(await ended).toEqual({ code: 0, stderr: '' });
    expect(isMounted(target)).toBe(false);
    expect(existsSync(scratch.at('target', 'file'))).toBe(false);
    expect(verbs()).toEqual(['Create', 'Mount', 'Unmount', 'Remove']);
    const names = new Set(['Create', 'Mount', 'Unmount', 'Remove'].map((verb) => bodyOf(verb).Name));
    expect(names.size).toBe(1);
  });

  test('a CID is given as cid=', async () => {
    const { child, ended } = await start('bafkqaaa/sub', scratch.at('target'));
    child.kill('SIGINT');
    expect((await ended).code).toBe(0);
    expect(bodyOf('Create').Opts).toEqual({ cid: 'bafkqaaa/sub' });
  });

  test('what would be hidden is refused before anything is asked of the daemon: a full directory, a full file, a mount', async () => {
    const { ended } = await start('bafkqaaa', scratch.at('content'));
    expect(await ended).toEqual({
      code: 1,
      stderr: `ipfs-volume: ${scratch.at('content')} is not empty (it holds "file"): empty it, or give another\n`,
    });
    const full = scratch.at('content', 'file');
    expect((await (await start('bafkqaaa', full)).ended).stderr).toBe(
      `ipfs-volume: ${full} is a file that is not empty: give an empty one to mount on\n`,
    );
    // Nobody serves it: whoever looked at it would wait for ever.
    symlinkSync(scratch.at('root'), scratch.at('alias'));
    for (const mounted of [scratch.at('root'), scratch.at('alias')]) {
      expect((await (await start('bafkqaaa', mounted)).ended).stderr).toBe(
        `ipfs-volume: ${mounted} is a mount already: unmount it (umount ${mounted}), or give another\n`,
      );
    }
    expect(server.asked).toEqual([]);
  });

  test('a file is bound on a file, and on a directory it is refused', async () => {
    answers['POST /VolumeDriver.Mount'] = json({ Mountpoint: scratch.at('content', 'file'), Err: '' });
    const refused = await start('bafkqaaa', scratch.at('target'));
    const { code, stderr } = await refused.ended;
    expect(code).toBe(1);
    expect(stderr).toBe(
      `ipfs-volume: ${scratch.at('target')}: bafkqaaa is a single file: give a file to mount it on\n`,
    );
    expect(verbs()).toEqual(['Create', 'Mount', 'Unmount', 'Remove']);

    writeFileSync(scratch.at('file-target'), '');
    const bound = await start('bafkqaaa', scratch.at('file-target'));
    expect(readFileSync(scratch.at('file-target'), 'utf8')).toBe('served');
    bound.child.kill('SIGTERM');
    expect((await bound.ended).code).toBe(0);
    expect(readFileSync(scratch.at('file-target'), 'utf8')).toBe('');
  });

  test("a reference that the daemon refuses is the daemon's message; what was created is removed", async () => {
    answers['POST /VolumeDriver.Mount'] = json({ Err: 'mounting x: no source has its root' }, 500);
    const { ended } = await start('bafkqaaa', scratch.at('target'));
    expect(await ended).toEqual({ code: 1, stderr: 'ipfs-volume: mounting x: no source has its root\n' });
    expect(verbs()).toEqual(['Create', 'Mount', 'Remove']);
  });

  test('a mount root that is not seen from here is said, and the directory served alone; nothing is left there', async () => {
    answers['GET /ipfs-volume/status'] = json({ ...SAMPLE_STATUS, mountRoot: '/mnt/volumes' });
    answers['POST /VolumeDriver.Mount'] = json({ Mountpoint: '/mnt/volumes/not-seen', Err: '' });
    const { child, firstLine, ended } = await start('bafkqaaa', scratch.at('target'));
    expect(firstLine).toBe(`mounted bafkqaaa at ${scratch.at('target')}\n`);
    expect(existsSync(scratch.at('target', 'served'))).toBe(true);
    child.kill('SIGTERM');
    expect(await ended).toEqual({
      code: 0,
      stderr:
        "the daemon's mount root /mnt/volumes is not seen from here; " +
        'serving without it, and without what its store and cache hold\n',
    });
    // It is tried where any daemon of this machine has a mount to be searched.
    expect([[], ['Create', 'Mount', 'Unmount', 'Remove']]).toContainEqual(verbs());
  });

  test('a mount that is seen elsewhere, as that of a managed plugin is on the host, is found and bound', async () => {
    await using daemon = await startDaemon();
    const pass: (verb: string) => Answer = (verb) => async (request, response, asked) => {
      const body = JSON.parse(String(await readBody(request, asked)));
      const answer = await daemon.call<{ Mountpoint?: string }>(verb, body);
      if (answer.Mountpoint) answer.Mountpoint = answer.Mountpoint.replace(daemon.mountRoot, '/mnt/volumes');
      response.end(JSON.stringify(answer));
    };
    answers['GET /ipfs-volume/status'] = json({ ...SAMPLE_STATUS, mountRoot: '/mnt/volumes' });
    for (const verb of ['Create', 'Mount', 'Unmount', 'Remove']) answers[`POST /VolumeDriver.${verb}`] = pass(verb);
    writeFileSync(scratch.at('file-target'), '');
    const { child, firstLine, ended } = await start('bafkqablimvwgy3y', scratch.at('file-target'));
    expect(firstLine).toContain(`through the daemon at ${server.socketPath}`);
    expect(execFileSync('cat', [scratch.at('file-target')], { encoding: 'utf8' })).toBe('hello');
    child.kill('SIGTERM');
    expect(await ended).toEqual({ code: 0, stderr: '' });
    expect(await daemon.call('List', {})).toMatchObject({ Volumes: [] });
  });
});
