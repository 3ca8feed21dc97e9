/**
 * Which redirects of a gateway are followed.
 *
 * A gateway may answer for a CID under the CID's own host name (`/ipfs/CID` → `CID.ipfs.HOST`, the subdomain gateway
 * specification), so that websites are kept apart. Any other redirect would let a gateway point us, who may sit behind
 * a firewall and send an `Authorization` along, at hosts of its choice: at another's server, or at this machine's own.
 * The host must therefore be the same one or a CID's or name's subdomain of it, and the port and the protocol the same
 * (or http made https).
 */

/** Where a redirect of `from` leads, `undefined` where it is not to be followed. */
export function redirectTarget(from: URL, location: string | string[] | undefined): URL | undefined {
  if (typeof location !== 'string') return undefined;
  let to: URL;
  try {
    to = new URL(location, from);
  } catch {
    return undefined;
  }
  if (to.username !== '' || to.password !== '') return undefined;
  const upgraded = from.protocol === 'http:' && to.protocol === 'https:' && from.port === '' && to.port === '';
  if (!upgraded && (to.protocol !== from.protocol || to.port !== from.port)) return undefined;
  return isSameOperator(from.hostname, to.hostname) ? to : undefined;
}

/** https://specs.ipfs.tech/http-gateways/subdomain-gateway/#host-request-header: one label, then `ipfs` or `ipns`. */
function isSameOperator(from: string, to: string): boolean {
  if (to === from) return true;
  const labels = to.endsWith(`.${from}`) ? to.slice(0, -from.length - 1).split('.') : [];
  return labels.length === 2 && (labels[1] === 'ipfs' || labels[1] === 'ipns');
}
