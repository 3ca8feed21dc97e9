/** `store export` against played daemons: a FILE that is there whole or not at all, standard output, and what is refused. */
import { existsSync, lstatSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Answer, ControlServer, json } from './support/control-server.ts';
import { type RunOptions, runCommand } from './support/run-command.ts';
import { Scratch } from './support/scratch.ts';

const ROUTE = 'GET /ipfs-volume/store/bafyroot/car';
const CAR = 'what stands for a CAR';
const HEADERS = { 'content-length': CAR.length, 'x-ipfs-volume-blocks': 3, 'x-ipfs-volume-bytes': 2048 };
const MISSING = {
  code: 'NOT_IN_STORE',
  message: 'the local store has only a part of bafyroot: block bafyleaf is missing',
};

const sends: Answer = (_request, response) => void response.writeHead(200, HEADERS).end(CAR);
/** As a daemon does that finds a block damaged, or dies. */
const breaksOff: Answer = (_request, response) => {
  response.writeHead(200, HEADERS).write(CAR.slice(0, 10), () => response.destroy());
};

function inTurn(...answers: readonly Answer[]): Answer {
  let asked = 0;
  return (...call) => answers[Math.min(asked++, answers.length - 1)]?.(...call);
}

async function exporting(answer: Answer, args: readonly string[], options: RunOptions = {}) {
  await using server = await ControlServer.start({ [ROUTE]: answer });
  const env = { IPFS_VOLUME_SOCKET: server.socketPath };
  return { ...(await runCommand(['store', 'export', 'bafyroot', ...args], { env, ...options })), asked: server.asked };
}

test('a FILE holds the CAR, and nothing is left beside it', async () => {
  using scratch = new Scratch();
  const file = scratch.at('out.car');
  const result = await exporting(sends, [file]);
  expect(result).toMatchObject({ code: 0, stdout: `${file}: 3 blocks, 2.0 KiB of bafyroot\n`, stderr: '' });
  expect(readFileSync(file, 'utf8')).toBe(CAR);
  expect(readdirSync(scratch.at('.'))).toEqual(['out.car']);
  const again = await exporting(sends, [file, '--json']);
  expect(JSON.parse(again.stdout)).toEqual({ cid: 'bafyroot', blocks: 3, bytes: 2048 });
});

test('without a FILE, or with "-", the CAR alone goes to standard output', async () => {
  for (const args of [[], ['-']])
    expect(await exporting(sends, args)).toMatchObject({ code: 0, stdout: CAR, stderr: '' });
});

test('a terminal gets no CAR, and JSON no place beside one', async () => {
  const onTerminal = await exporting(sends, [], { isTerminal: true });
  expect(onTerminal).toMatchObject({ code: 2, stdout: '', asked: [] });
  expect(onTerminal.stderr).toMatch(/^ipfs-volume: a CAR is nothing for a terminal: name a FILE, .*\n$/);
  const asJson = await exporting(sends, ['--json']);
  expect(asJson).toMatchObject({ code: 2, stdout: '', asked: [] });
  expect(asJson.stderr).toBe('ipfs-volume: --json needs a FILE: standard output has the CAR\n');
});

test('a terminal sees how far a FILE is', async () => {
  using scratch = new Scratch();
  const { code, stderr } = await exporting(sends, [scratch.at('out.car')], { isTerminal: true });
  expect(code).toBe(0);
  expect(stderr).toContain('exporting [');
});

test('what the daemon refuses is its error, and no FILE', async () => {
  using scratch = new Scratch();
  const result = await exporting(json(MISSING, 404), [scratch.at('out.car')]);
  expect(result).toMatchObject({ code: 1, stdout: '', stderr: `ipfs-volume: ${MISSING.message}\n` });
  expect(readdirSync(scratch.at('.'))).toEqual([]);
});

test('a daemon that goes before it answers is not asked twice', async () => {
  const { code, asked } = await exporting((_request, response) => void response.destroy(), ['out.car']);
  expect({ code, calls: asked.length }).toEqual({ code: 1, calls: 1 });
});

test('a CAR that breaks off leaves what was in FILE before, and says why where the daemon knows', async () => {
  using scratch = new Scratch();
  const file = scratch.at('out.car');
  writeFileSync(file, 'older');
  const known = await exporting(inTurn(breaksOff, json(MISSING, 404)), [file]);
  expect(known).toMatchObject({ code: 1, stdout: '', stderr: `ipfs-volume: ${MISSING.message}\n` });
  const unknown = await exporting(inTurn(breaksOff, sends), [file]);
  expect(unknown).toMatchObject({ code: 1, stdout: '' });
  expect(unknown.stderr).toMatch(/broke off in the middle of the CAR; start the command again\n$/);
  expect(readFileSync(file, 'utf8')).toBe('older');
  expect(readdirSync(scratch.at('.'))).toEqual(['out.car']);
  const piped = await exporting(inTurn(breaksOff, sends), []);
  expect(piped.code).toBe(1);
});

test('a FILE that cannot be written is named, and so is a directory', async () => {
  using scratch = new Scratch();
  const nowhere = scratch.at('absent/out.car');
  const result = await exporting(sends, [nowhere]);
  expect(result).toMatchObject({ code: 1, stderr: `ipfs-volume: ${nowhere}: no such file or directory\n` });
  const directory = await exporting(sends, [scratch.at('.')]);
  expect(directory).toMatchObject({ code: 1 });
  expect(directory.stderr).toMatch(/: is a directory; name a file in it\n$/);
});

test('what is there and no regular file stays what it is', async () => {
  using scratch = new Scratch();
  const target = scratch.at('target.car');
  const link = scratch.at('link.car');
  writeFileSync(target, 'older');
  symlinkSync('target.car', link);
  expect((await exporting(sends, ['/dev/null'])).code).toBe(0);
  expect(lstatSync('/dev/null').isCharacterDevice()).toBe(true);
  expect((await exporting(sends, [link])).code).toBe(0);
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect(readFileSync(target, 'utf8')).toBe(CAR);
  expect(existsSync(`${link}.part`)).toBe(false);
});
