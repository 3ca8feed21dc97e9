/** The text of metrics by the letter of its format, and the TCP address on which nothing else is to be had. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { serveMetrics } from '../../plugin/daemon/metrics-server.ts';
import { MetricsText } from '../../plugin/daemon/metrics-text.ts';
import { codeOf, messageChain } from '../../src/base/errors.ts';
import { PrometheusText } from '../support/prometheus.ts';

test('whatever a volume is called comes back from the text', () => {
  const volume = 'a "quoted" \\ name,\nof two lines{x="y"}';
  const text = new MetricsText().gauge('x_bytes', 'Help.', [{ labels: { volume }, value: 7 }]).toString();
  expect(new PrometheusText(text).value('x_bytes', { volume })).toBe(7);
  expect(text.split('\n')).toHaveLength(4);
});

test('a histogram is cumulative, counts all, and has a bucket for the rest', () => {
  const samples = [{ labels: { priority: 'demand' }, buckets: [1, 0, 2, 3], sum: 4.5 }];
  const text = new MetricsText().histogram('wait_seconds', 'Help.', [0.1, 1, 10], samples).toString();
  const parsed = new PrometheusText(text);
  const at = (le: string) => parsed.value('wait_seconds_bucket', { priority: 'demand', le });
  expect([at('0.1'), at('1'), at('10'), at('+Inf')]).toEqual([1, 1, 3, 6]);
  expect(parsed.value('wait_seconds_count', { priority: 'demand' })).toBe(6);
  expect(parsed.value('wait_seconds_sum', { priority: 'demand' })).toBe(4.5);
});

test('the strict reader refuses what the format does not allow', () => {
  const head = '# HELP a_total x\n# TYPE a_total counter\n';
  for (const bad of [
    'a_total 1\n',
    `${head}a_total 1`,
    `${head}a_total{x="1",} 1\n`,
    `${head}a_total -1\n`,
    `${head}a_total 1\na_total 1\n`,
    `${head}b_total 1\n`,
    `${head}a_total{x="a\\t"} 1\n`,
    '# HELP a x\n# TYPE a counter\na 1\n',
    '# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n',
  ]) {
    expect(() => new PrometheusText(bad), bad).toThrow();
  }
});

test('over TCP there is GET /metrics, and nothing else reaches the daemon', async () => {
  const reached: string[] = [];
  const server = await serveMetrics({ host: '127.0.0.1', port: 0 }, (request, response) => {
    reached.push(`${request.method} ${request.url}`);
    response.end('the metrics');
  });
  try {
    expect(await (await fetch(server.url)).text()).toBe('the metrics');
    expect(await (await fetch(`${server.url}?x=1`)).text()).toBe('the metrics');
    const { origin, port } = new URL(server.url);
    const statusOf = async (path: string, method: string) => (await fetch(origin + path, { method })).status;
    expect(await statusOf('/metrics', 'POST')).toBe(405);
    for (const path of ['/', '/ipfs-volume/status', '/VolumeDriver.Remove', '/metrics/../VolumeDriver.List']) {
      expect(await statusOf(path, 'POST'), path).toBe(404);
    }
    for (const target of ['//', 'http://x/VolumeDriver.List', '/metrics#/', '*']) {
      expect(await statusLine(Number(port), target), target).toMatch(/ 40[04] /);
    }
    expect(reached).toEqual(['GET /metrics', 'GET /metrics?x=1']);
  } finally {
    await server.close();
  }
});

test('an address that is taken is one clear error', async () => {
  const first = await serveMetrics({ host: '127.0.0.1', port: 0 }, () => {});
  const port = Number(new URL(first.url).port);
  try {
    const error = await serveMetrics({ host: '127.0.0.1', port }, () => {}).catch((caught: unknown) => caught);
    expect(codeOf(error)).toBe('CONFIG_INVALID');
    expect(messageChain(error)).toMatch(
      new RegExp(`^IPFS_VOLUME_METRICS cannot be used: nothing can listen on 127.0.0.1:${port}: .*EADDRINUSE`),
    );
  } finally {
    await first.close();
  }
});

/** As no well-behaved client would ask. */
async function statusLine(port: number, target: string): Promise<string> {
  const socket: Socket = connect(port, '127.0.0.1');
  socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return chunk.toString().split('\r\n')[0] ?? '';
}
