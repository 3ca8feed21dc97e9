/**
 * References: what users write to say which content a volume shows.
 *
 *   CID, CID/path                     any version, any multibase
 *   /ipfs/CID[/path], ipfs://CID[/path]
 *   /ipns/NAME[/path], ipns://NAME[/path]   a key or a DNSLink domain
 *
 * The URL forms are percent-decoded, the others taken as they are. Parsing asks nobody; what a reference leads to is
 * found when the volume is mounted.
 */
import type { CID } from 'multiformats/cid';
import { CodedError, messageChain } from '../base/errors.ts';
import { MULTIBASE_PREFIXES, parseCidText } from '../blocks/parse-cid.ts';
import { checkCid } from '../blocks/verify.ts';

export type Reference =
  | { readonly space: 'ipfs'; readonly cid: CID; readonly path: readonly string[] }
  | { readonly space: 'ipns'; readonly name: string; readonly path: readonly string[] };

/** Longer than any path that Linux takes (PATH_MAX). */
const MAX_REFERENCE_LENGTH = 4096;

/** @throws REFERENCE_INVALID saying which part is wrong, and why. */
export function parseReference(text: string): Reference {
  if (text === '') throw invalid(text, 'it is empty');
  if (text.length > MAX_REFERENCE_LENGTH) throw invalid(`${text.slice(0, 40)}…`, 'it is over 4096 characters long');
  const url = /^(ip[fn]s):\/\/(.*)$/is.exec(text);
  if (url) return build(text, (url[1] ?? '').toLowerCase(), (url[2] ?? '').split('/').map(decodeSegment(text)));
  const rooted = /^\/(ip[fn]s)\/(.*)$/s.exec(text);
  if (rooted) return build(text, rooted[1] ?? '', (rooted[2] ?? '').split('/'));
  if (/^https?:\/\//i.test(text)) throw invalid(text, 'of a URL, give the part from /ipfs/ or /ipns/ on');
  if (text.startsWith('/')) throw invalid(text, 'a path starts with /ipfs/ or /ipns/');
  // Base64 has the slash in its alphabet, so such a CID may look like a path.
  if (/^[mM]/.test(text) && text.includes('/')) return { space: 'ipfs', cid: parseCid(text), path: [] };
  return build(text, 'ipfs', text.split('/'));
}

/** The canonical form: `/ipfs/…` or `/ipns/…`. */
export function formatReference(reference: Reference): string {
  const head = reference.space === 'ipfs' ? `/ipfs/${reference.cid}` : `/ipns/${reference.name}`;
  return [head, ...reference.path].join('/');
}

/** @throws REFERENCE_INVALID for what is no CID, or names a hash function that nobody should trust. */
export function parseCid(text: string): CID {
  let cid: CID;
  try {
    cid = parseCidText(text);
  } catch {
    // No cause: the library's own words are for whoever knows its insides.
    const why = MULTIBASE_PREFIXES.has(text.charAt(0))
      ? 'it is cut short or misspelt'
      : 'one starts with "Qm", or with "b" as in "bafy…", or with the letter of another base';
    throw new CodedError('REFERENCE_INVALID', `"${shorten(text)}" is not a CID: ${why}`);
  }
  try {
    checkCid(cid);
  } catch (error) {
    throw new CodedError('REFERENCE_INVALID', `the CID "${shorten(text)}" cannot be used: ${messageChain(error)}`);
  }
  return cid;
}

function build(text: string, space: string, [head = '', ...rest]: readonly string[]): Reference {
  if (head === '') throw invalid(text, `there is nothing behind ${space === 'ipns' ? '/ipns/' : '/ipfs/'}`);
  const path = rest.filter((segment) => segment !== '');
  for (const segment of path) {
    if (segment === '.' || segment === '..') throw invalid(text, `"${segment}" cannot stand in its path`);
    if (segment.includes('\0')) throw invalid(text, 'there is a NUL in its path');
  }
  if (space === 'ipns') {
    if (!/^[A-Za-z0-9._-]+$/.test(head)) throw invalid(text, `"${head}" is neither a key nor a domain`);
    return { space: 'ipns', name: head, path };
  }
  return { space: 'ipfs', cid: parseCid(head), path };
}

function decodeSegment(text: string): (segment: string) => string {
  return (segment) => {
    let decoded: string;
    try {
      decoded = decodeURIComponent(segment);
    } catch {
      throw invalid(text, `"${segment}" is not percent-encoded text`);
    }
    // A slash that was encoded would be part of a name, and no name has one.
    if (decoded.includes('/') && segment !== decoded) throw invalid(text, 'a name cannot hold a slash');
    return decoded;
  };
}

function invalid(text: string, why: string): CodedError {
  return new CodedError('REFERENCE_INVALID', `"${shorten(text)}" is not a reference to IPFS content: ${why}`);
}

function shorten(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
}
