/** The scripts behind `npm run plugin:…`, without an engine: wrong usage, and what `plugin:remove` asks Docker for. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BASE_IMAGE } from '../../plugin/scripts/base-image.ts';
import { Scratch } from '../cli/support/scratch.ts';

async function run(script: string, args: readonly string[], path = '/nowhere') {
  const file = new URL(`../../plugin/scripts/${script}.ts`, import.meta.url).pathname;
  const child = spawn(process.execPath, [file, ...args], { env: { PATH: path }, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const [code] = await once(child, 'close');
  return { code, stdout, stderr };
}

test.each(['build', 'install', 'remove'])(
  'plugin:%s says in one line what is wrong, and how it is called',
  async (script) => {
    const wrong = await run(script, ['--nonsense']);
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toMatch(
      new RegExp(`^Unknown option '--nonsense'; usage: npm run plugin:${script} -- [^\\n]*\\n$`),
    );
    const help = await run(script, ['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(new RegExp(`^Usage: npm run plugin:${script} -- `));
  },
);

test('plugin:install names the settings that there are, before it asks the engine for anything', async () => {
  const unknown = await run('install', ['IPFS_VOLUME_CACHE_SIZE=1GiB', 'FOO=1']);
  expect(unknown).toMatchObject({ code: 2, stdout: '' });
  expect(unknown.stderr).toMatch(
    /^there is no setting "FOO": those of the plugin are IPFS_VOLUME_MOUNT_ROOT, [A-Z_, ]+, NODE_EXTRA_CA_CERTS\n$/,
  );
  expect((await run('install', ['IPFS_VOLUME_CACHE_SIZE'])).stderr).toMatch(
    /^IPFS_VOLUME_CACHE_SIZE: settings are KEY=VALUE/,
  );
  // Known settings come as far as the engine, of which there is none.
  expect(await run('install', ['IPFS_VOLUME_CACHE_SIZE=1GiB'])).toMatchObject({ code: 1 });
});

/** A docker that answers to all, gives `label` for the image's, and writes down what it was asked. */
async function removeWith(label: string): Promise<string[]> {
  using scratch = new Scratch();
  const log = scratch.at('log');
  writeFileSync(
    scratch.at('docker'),
    `#!/bin/sh\necho "$*" >>${log}\ncase "$1 $2" in "image inspect") echo "${label}";; *) echo 1;; esac\n`,
  );
  chmodSync(scratch.at('docker'), 0o755);
  expect(await run('remove', [], `${scratch.path}:/usr/bin:/bin`)).toMatchObject({ code: 0, stderr: '' });
  return existsSync(log) ? readFileSync(log, 'utf8').split('\n') : [];
}

test('plugin:remove takes a base image away that was made here, and no other', async () => {
  expect(await removeWith('true')).toContain(`image rm ${BASE_IMAGE}`);
  const asked = await removeWith('');
  expect(asked).toContain('plugin rm ipfs');
  expect(asked.filter((line) => line.startsWith('image rm'))).toEqual([]);
});

test('plugin:remove takes away the base image that a failed installation left without a plugin', async () => {
  using scratch = new Scratch();
  const log = scratch.at('log');
  const answers = '"plugin inspect") exit 1;; "image inspect") echo true;; *) echo 1;;';
  writeFileSync(scratch.at('docker'), `#!/bin/sh\necho "$*" >>${log}\ncase "$1 $2" in ${answers} esac\n`);
  chmodSync(scratch.at('docker'), 0o755);
  const removed = await run('remove', [], `${scratch.path}:/usr/bin:/bin`);
  expect(removed).toMatchObject({ code: 1, stderr: 'there is no plugin "ipfs"\n' });
  expect(readFileSync(log, 'utf8').split('\n')).toContain(`image rm ${BASE_IMAGE}`);
});

test('plugin:remove of a plugin in use says how npm lets --force through', async () => {
  using scratch = new Scratch();
  writeFileSync(
    scratch.at('docker'),
    '#!/bin/sh\ncase "$1 $2" in "plugin disable") echo "plugin ipfs is in use" >&2; exit 1;; *) echo 1;; esac\n',
  );
  chmodSync(scratch.at('docker'), 0o755);
  const refused = await run('remove', [], `${scratch.path}:/usr/bin:/bin`);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/is in use: remove its volumes .* or say "npm run plugin:remove -- --force"\n$/);
});
