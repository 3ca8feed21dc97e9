/**
 * DNSLink (https://dnslink.dev): a TXT record `dnslink=/ipfs/CID[/path]` at `_dnslink.DOMAIN`.
 *
 * Only the DNS vouches for it. Gateways are not asked: what they say of a domain cannot be verified.
 */
import { Resolver } from 'node:dns/promises';
import { CodedError, codeOf } from '../base/errors.ts';

/** The TXT records of a host name, each as its pieces; fails as node:dns does. */
export type ResolveTxt = (hostname: string, options: { readonly signal: AbortSignal }) => Promise<string[][]>;

/** One name server's time; c-ares then asks the next, twice around. */
const SERVER_TIMEOUT_MS = 3_000;
const TRIES = 2;

/** Asks the machine's name servers (`/etc/resolv.conf`), or those given as `address[:port]`, with an end to patience. */
export function txtResolver(servers?: readonly string[]): ResolveTxt {
  return async (hostname, { signal }) => {
    // One for each question: `cancel` ends all that a resolver has in flight.
    const resolver = new Resolver({ timeout: SERVER_TIMEOUT_MS, tries: TRIES });
    if (servers) resolver.setServers(servers);
    const cancel = () => resolver.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      signal.throwIfAborted();
      return await resolver.resolveTxt(hostname);
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  };
}

/**
 * The path that a domain links to: `/ipfs/…` or `/ipns/…`.
 * @throws NAME_UNRESOLVED where there is no such record or the DNS does not say, ABORTED.
 */
export async function resolveDnsLink(
  domain: string,
  { signal, txt }: { readonly signal: AbortSignal; readonly txt: ResolveTxt },
): Promise<string> {
  const hostname = `_dnslink.${domain.replace(/\.$/, '')}`;
  let records: string[][];
  try {
    records = await txt(hostname, { signal });
  } catch (error) {
    if (signal.aborted || codeOf(error) === 'ABORTED')
      throw new CodedError('ABORTED', `resolving ${domain} was dropped`);
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const reason = code === 'ENOTFOUND' || code === 'ENODATA' ? 'there is no such record' : `the DNS failed (${code})`;
    throw new CodedError('NAME_UNRESOLVED', `TXT ${hostname}: ${reason}`, { cause: error });
  }
  // Of several, the specification takes the first in order of the alphabet: the DNS gives them in any.
  const link = records
    .map((pieces) => /^dnslink=(\/ip[fn]s\/.+)$/.exec(pieces.join('').trim())?.[1])
    .filter((path) => path !== undefined)
    .sort()[0];
  if (link === undefined) throw new CodedError('NAME_UNRESOLVED', `TXT ${hostname}: none begins with dnslink=/ipfs/`);
  return link;
}
