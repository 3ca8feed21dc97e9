/** The demo on a Docker engine: managed plugin, local store, container. */
import { existsSync } from 'node:fs';
import { BASE_IMAGE } from './base-image.ts';
import { addSample } from './demo-mount.ts';
import { type Demo, type Reading, readingScript } from './demo-sample.ts';
import { docker, hasPlugin, PLUGIN_NAME } from './docker.ts';
import { installPlugin } from './install-plugin.ts';

/** Where a plugin `ipfs` is there already: that one is somebody's, with a store of its own. */
const OTHER_NAME = 'ipfs-demo';
/** A daemon outside of Docker by that name, which the engine might take for the plugin. */
const UNMANAGED_SOCKET = `/run/docker/plugins/${PLUGIN_NAME}.sock`;
/** Nothing of the demo asks anybody else. */
const SETTINGS = ['IPFS_VOLUME_KUBO_RPC=', 'IPFS_VOLUME_GATEWAYS='];

/** Undefined where the engine is on another machine: then the plugin's store cannot be filled from here. */
export async function runInContainer({ directory, signal, say, undo }: Demo): Promise<Reading | undefined> {
  say(
    `a Docker engine answers: ${await docker(['version', '--format', 'version {{.Server.Version}} on {{.Server.Os}}/{{.Server.Arch}}'])}`,
  );
  const name = await freeName(say);
  const hadImage = await docker(['image', 'inspect', '--format', '{{.Id}}', BASE_IMAGE]).then(
    () => true,
    () => false,
  );
  if (!hadImage) undo.defer(() => ignore(docker(['image', 'rm', '--force', BASE_IMAGE])));
  undo.defer(() => ignore(docker(['plugin', 'rm', '--force', name])));
  await installPlugin({ name, settings: SETTINGS, say });
  signal.throwIfAborted();
  say(`the managed plugin is built, installed and enabled as "${name}"`);
  const socket = `/run/docker/plugins/${await docker(['plugin', 'inspect', '--format', '{{.Id}}', name])}/ipfs.sock`;
  if (!existsSync(socket)) {
    say(
      `its socket is not on this machine (DOCKER_HOST=${process.env.DOCKER_HOST ?? ''}), so it cannot be given the sample`,
    );
    return undefined;
  }
  const cid = await addSample(directory, socket, signal);
  say(`the sample is in its local store: ${cid}`);
  undo.defer(() => ignore(docker(['volume', 'rm', cid])));
  const command = ['run', '--rm', '--network', 'none', '-v', `${cid}:/data`, '--volume-driver', name, BASE_IMAGE];
  say(`docker ${command.join(' ')} …`);
  const startedAt = performance.now();
  let firstByteMs = 0;
  const onOutput = (): void => {
    firstByteMs ||= performance.now() - startedAt;
  };
  const output = await docker([...command, 'sh', '-c', readingScript('/data')], { signal, onOutput });
  return { cid, output, firstByteMs, wholeMs: performance.now() - startedAt };
}

async function freeName(say: Demo['say']): Promise<string> {
  const taken = (await hasPlugin(PLUGIN_NAME)) ? `a plugin "${PLUGIN_NAME}" is installed` : undefined;
  const unmanaged = existsSync(UNMANAGED_SOCKET) ? `${UNMANAGED_SOCKET} is there` : undefined;
  if (taken === undefined && unmanaged === undefined) return PLUGIN_NAME;
  if (await hasPlugin(OTHER_NAME)) {
    throw new Error(
      `${taken ?? unmanaged}, and so is a plugin "${OTHER_NAME}": remove that with "npm run plugin:remove -- --name ${OTHER_NAME}"`,
    );
  }
  say(`${taken ?? unmanaged} and is left alone: the demo's is "${OTHER_NAME}"`);
  return OTHER_NAME;
}

/** Steps back from what may never have been there. */
async function ignore(step: Promise<unknown>): Promise<void> {
  await step.catch(() => undefined);
}
