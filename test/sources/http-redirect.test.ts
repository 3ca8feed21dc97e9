/** Which redirects are followed: to the CID's own subdomain, and to nobody else's host. */
import { describe, expect, test } from 'vitest';
import { redirectTarget } from '../../src/sources/http-redirect.ts';

describe('followed', () => {
  test.each([
    ['https://gw.example/ipfs/b', 'https://b.ipfs.gw.example/?format=raw', 'https://b.ipfs.gw.example/?format=raw'],
    ['https://gw.example/ipns/k', 'https://k.ipns.gw.example/', 'https://k.ipns.gw.example/'],
    ['https://gw.example/ipfs/b', '/ipfs/b/?format=raw', 'https://gw.example/ipfs/b/?format=raw'],
    ['http://gw.example/ipfs/b', 'https://gw.example/ipfs/b', 'https://gw.example/ipfs/b'],
    ['http://localhost:8080/ipfs/b', 'http://b.ipfs.localhost:8080/', 'http://b.ipfs.localhost:8080/'],
  ])('%s to %s', (from, location, target) => {
    expect(redirectTarget(new URL(from), location)?.href).toBe(target);
  });
});

describe('not followed', () => {
  test.each([
    ['another host', 'https://other.example/ipfs/b'],
    ['a host that only ends alike', 'https://b.ipfs.evilgw.example/'],
    ['any other subdomain', 'https://internal.gw.example/'],
    ['a subdomain below two labels', 'https://a.b.ipfs.gw.example/'],
    ['this machine', 'https://127.0.0.1/'],
    ['this machine by name', 'https://b.ipfs.localhost/'],
    ['a private address', 'https://10.0.0.1/'],
    ['the metadata of a cloud', 'http://169.254.169.254/latest/meta-data'],
    ['another port', 'https://gw.example:8443/ipfs/b'],
    ['no protection', 'http://gw.example/ipfs/b'],
    ['another protocol', 'file:///etc/passwd'],
    ['credentials', 'https://user:pass@gw.example/ipfs/b'],
    ['nothing that is a URL', 'https://['],
  ])('to %s', (_name, location) => {
    expect(redirectTarget(new URL('https://gw.example/ipfs/b'), location)).toBeUndefined();
  });

  test('with no location, or several', () => {
    expect(redirectTarget(new URL('https://gw.example/'), undefined)).toBeUndefined();
    expect(redirectTarget(new URL('https://gw.example/'), ['https://gw.example/a', '/b'])).toBeUndefined();
  });
});
