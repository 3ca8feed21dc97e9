/** What the managed plugin asks the engine for: whoever installs it is shown this, and grants it. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const config = JSON.parse(readFileSync(new URL('../../config.json', import.meta.url), 'utf8'));

test('the plugin asks for CAP_SYS_ADMIN, /dev/fuse and the network, and for nothing else', () => {
  expect(config.linux).toEqual({
    capabilities: ['CAP_SYS_ADMIN'],
    devices: [expect.objectContaining({ path: '/dev/fuse' })],
  });
  expect(config.network).toEqual({ type: 'host' });
  expect(config.mounts).toEqual([]);
  expect(config.pidhost ?? config.PidHost ?? config.ipchost ?? config.IpcHost ?? false).toBe(false);
});

test('what it keeps lies below its propagated mount, where an upgrade leaves it', () => {
  const value = (name: string) => config.env.find((variable: { name: string }) => variable.name === name).value;
  expect(value('IPFS_VOLUME_MOUNT_ROOT').startsWith(`${config.propagatedMount}/`)).toBe(true);
  expect(value('IPFS_VOLUME_STATE_DIR').startsWith(`${config.propagatedMount}/`)).toBe(true);
  expect(config.interface).toEqual({ types: ['docker.volumedriver/1.0'], socket: 'ipfs.sock' });
});
