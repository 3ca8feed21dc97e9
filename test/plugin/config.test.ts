import { describe, expect, test } from 'vitest';
import { readConfig } from '../../plugin/config.ts';
import { DEFAULT_GATEWAYS } from '../../src/sources/gateway-defaults.ts';

describe('the configuration', () => {
  test('defaults', () => {
    expect(readConfig({})).toEqual({
      socketPath: '/run/docker/plugins/ipfs.sock',
      mountRoot: '/var/lib/ipfs-volume/mnt',
      stateDirectory: '/var/lib/ipfs-volume',
      kuboRpc: 'http://127.0.0.1:5001',
      kuboRpcAuth: undefined,
      gateways: DEFAULT_GATEWAYS,
      gatewayAuth: undefined,
      gatewaysAreDefault: true,
      kuboIsDefault: true,
      cacheSizeBytes: 10 * 1024 ** 3,
      readTimeoutMs: 60_000,
      prefetchRate: undefined,
      prefetch: 'auto',
      extendedAttributes: false,
      metricsAddress: undefined,
      transport: 'kernel',
      resend: true,
      logLevel: 'info',
    });
  });

  test('empty turns the sources off, and is the default elsewhere', () => {
    const config = readConfig({ IPFS_VOLUME_KUBO_RPC: '', IPFS_VOLUME_GATEWAYS: ' ', IPFS_VOLUME_CACHE_SIZE: '' });
    expect(config).toMatchObject({ kuboRpc: undefined, gateways: [], gatewaysAreDefault: false, kuboIsDefault: false });
    expect(config.cacheSizeBytes).toBe(10 * 1024 ** 3);
  });

  test.each(['1d', '1m30s', '1000h', '60'])('%s is no duration, and the units and the longest are named', (text) => {
    expect(() => readConfig({ IPFS_VOLUME_READ_TIMEOUT: text })).toThrow(
      `"${text}" is not a duration such as 60s: a number with ms, s, m or h behind it, and at most 596h`,
    );
    expect(readConfig({ IPFS_VOLUME_READ_TIMEOUT: '596h' }).readTimeoutMs).toBe(596 * 3_600_000);
  });

  test('what is written is read', () => {
    expect(
      readConfig({
        IPFS_VOLUME_CACHE_SIZE: '512MiB',
        IPFS_VOLUME_READ_TIMEOUT: '5s',
        IPFS_VOLUME_PREFETCH_RATE: '20MiB/s',
        IPFS_VOLUME_PREFETCH: 'none',
        IPFS_VOLUME_XATTRS: 'on',
        IPFS_VOLUME_RESEND: 'off',
        IPFS_VOLUME_METRICS: ':9464',
        IPFS_VOLUME_GATEWAYS: 'https://a.example, https://b.example/',
        IPFS_VOLUME_KUBO_RPC: '/ip4/10.1.2.3/tcp/5001',
      }),
    ).toMatchObject({
      cacheSizeBytes: 512 * 1024 ** 2,
      readTimeoutMs: 5000,
      prefetchRate: 20 * 1024 ** 2,
      prefetch: 'none',
      extendedAttributes: true,
      resend: false,
      metricsAddress: { host: '127.0.0.1', port: 9464 },
      gateways: ['https://a.example', 'https://b.example/'],
      gatewaysAreDefault: false,
      kuboRpc: '/ip4/10.1.2.3/tcp/5001',
      kuboIsDefault: false,
    });
    // As a managed plugin's environment spells it out.
    expect(readConfig({ IPFS_VOLUME_KUBO_RPC: 'http://127.0.0.1:5001' }).kuboIsDefault).toBe(true);
  });

  test('metrics on another address than loopback must be written out', () => {
    expect(readConfig({ IPFS_VOLUME_METRICS: '0.0.0.0:1' }).metricsAddress).toEqual({ host: '0.0.0.0', port: 1 });
    expect(readConfig({ IPFS_VOLUME_METRICS: '[::1]:1' }).metricsAddress).toEqual({ host: '::1', port: 1 });
  });

  test.each([
    ['IPFS_VOLUME_CACHE_SIZE', 'ten'],
    ['IPFS_VOLUME_READ_TIMEOUT', '60'],
    ['IPFS_VOLUME_PREFETCH_RATE', 'fast'],
    ['IPFS_VOLUME_PREFETCH', 'some'],
    ['IPFS_VOLUME_XATTRS', 'yes'],
    ['IPFS_VOLUME_METRICS', '9464'],
    ['IPFS_VOLUME_METRICS', ':99999'],
    ['IPFS_VOLUME_LOG_LEVEL', 'loud'],
    ['IPFS_VOLUME_TRANSPORT', 'smoke'],
    ['IPFS_VOLUME_STATE_DIR', 'relative'],
    ['IPFS_VOLUME_SOCKET', `/${'x'.repeat(107)}`],
    ['IPFS_VOLUME_KUBO_RPC', 'not an address'],
    ['IPFS_VOLUME_GATEWAYS', 'https://a.example,nonsense'],
  ])('%s=%s names the variable', (name, value) => {
    expect(() => readConfig({ [name]: value })).toThrow(new RegExp(`^${name} cannot be used: `));
    expect(() => readConfig({ [name]: value })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  test('a secret that cannot be used is not shown', () => {
    expect(() => readConfig({ IPFS_VOLUME_KUBO_RPC_AUTH: 'geheim\n' + 'mehr' })).toThrow(/^(?!.*geheim)/s);
  });
});
