/** What `doctor` says of a source that accepts and says nothing. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { readConfig } from '../../plugin/config.ts';
import { checkSources } from '../../plugin/source-checks.ts';

test('a gateway that is frozen has not answered, and nobody dropped anything', async () => {
  const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
  try {
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const gateways = { IPFS_VOLUME_KUBO_RPC: '', IPFS_VOLUME_GATEWAYS: `http://127.0.0.1:${port}` };
    const [gateway] = await checkSources(readConfig(gateways));
    expect(gateway).toMatchObject({ outcome: 'warning', detail: 'no answer within 5 s' });
  } finally {
    server.close();
  }
}, 30_000);
