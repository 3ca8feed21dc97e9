import { expect, test } from 'vitest';
import { nodeTooOld } from '../../src/cli/node-version.ts';
import { runCommand } from './support/run-command.ts';

const COMMANDS = ['mount', 'add', 'import', 'store', 'status', 'prefetch', 'evict', 'doctor'];

test.each(COMMANDS)('%s --help explains itself on stdout and exits 0', async (name) => {
  const { code, stdout, stderr } = await runCommand([name, '--help']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(new RegExp(`^Usage: ipfs-volume ${name} `));
});

test('--help lists every command', async () => {
  const { code, stdout } = await runCommand(['--help']);
  expect(code).toBe(0);
  for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
});

test('--version prints the version alone', async () => {
  expect(await runCommand(['--version'])).toEqual({ code: 0, stdout: '1.2.3\n', stderr: '' });
});

test.each([
  [['nonsense'], /unknown command 'nonsense'/],
  [['help', 'nope'], /there is no command 'nope'/],
  [['stauts'], /Did you mean status\?/],
  [['add'], /missing required argument 'path'/],
  [['add', '--frobnicate', 'x'], /unknown option '--frobnicate'/],
  [['add', 'a', 'b'], /too many arguments/],
  [['store', 'rm'], /missing required argument 'cid'/],
  [['status', '--watch', '--json'], /--watch is for people, --json for machines/],
  [['status', '--watch'], /--watch needs a terminal/],
  [['mount', '-o', 'timeout', 'ref', '/tmp'], /an option is KEY=VALUE/],
  [['mount', '-o', 'cid=x', 'ref', '/tmp'], /REF says already/],
])('wrong usage %j exits 2 with the reason on stderr', async (args, reason) => {
  const { code, stdout, stderr } = await runCommand(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/^ipfs-volume: [^\n]+\n$/);
  expect(stderr).toMatch(reason);
});

test('no command at all exits 2 with the help on stderr', async () => {
  const { code, stdout, stderr } = await runCommand([]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/^Usage: ipfs-volume/);
});

test('commands from above the layer are registered like the others', async () => {
  const { code, stdout } = await runCommand(['serve'], {
    parts: {
      loadCommands: async () => [
        (program, context) => {
          program.command('serve').action(() => void context.process.stdout.write('serving\n'));
        },
      ],
    },
  });
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'serving\n' });
});

test('a Node too old is named together with the one that is needed', () => {
  expect(nodeTooOld('20.19.2')).toMatch(/^ipfs-volume: Node 24 or newer is needed, this is Node 20\.19\.2 \(.*\)$/);
  expect(nodeTooOld('9.0.0')).toMatch(/Node 24 or newer/);
  expect(nodeTooOld('24.0.0')).toBeUndefined();
  expect(nodeTooOld('100.1.0')).toBeUndefined();
});
