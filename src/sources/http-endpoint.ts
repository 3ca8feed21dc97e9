/**
 * The address of a source, with its secrets taken out.
 *
 * Users put credentials where it is easiest: in the URL (`https://user:pass@host`), in its query (`?token=…`) or in a
 * variable of their own. From here on the URL that is shown holds none of them: it alone becomes the source's name,
 * and with it goes into logs, errors and `status`.
 */
import { CodedError } from '../base/errors.ts';

export interface HttpEndpoint {
  /** `https://host[:port][/prefix]`: no credentials, no query, no slash at the end. */
  readonly url: string;
  /** Value of the `Authorization` header. Secret. */
  readonly authorization: string | undefined;
  /** What the address asks to send with each request, such as `token=…`; '' for nothing. Secret. */
  readonly query: string;
}

/**
 * Reads an http(s) URL. Credentials within it win over `authorization`, which is for a whole list of sources.
 * @throws CONFIG_INVALID; its text shows no credentials.
 */
export function parseEndpoint(text: string, authorization?: string): HttpEndpoint {
  let url: URL;
  try {
    url = new URL(text.trim());
  } catch {
    throw new CodedError('CONFIG_INVALID', `"${withoutSecrets(text)}" is not a URL such as https://host.example`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new CodedError('CONFIG_INVALID', `"${withoutSecrets(text)}" is neither an http nor an https URL`);
  }
  const secret = url.username || url.password ? basicAuthorization(url) : authorization || undefined;
  // undici would refuse it at the first request, and quote it.
  if (secret !== undefined && !/^[\t\x20-\x7e]+$/.test(secret)) {
    throw new CodedError(
      'CONFIG_INVALID',
      `the authorization for ${url.host} holds characters that no header may hold`,
    );
  }
  return {
    url: `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`,
    authorization: secret,
    query: url.search.slice(1),
  };
}

/** What a server might repeat and nobody may see: the credentials as they are sent and as they were, and the query's. */
export function endpointSecrets({ authorization = '', query }: HttpEndpoint): string[] {
  const [, scheme = '', credentials = ''] = /^(\S+)\s+(.*)$/.exec(authorization) ?? [undefined, '', authorization];
  const plain = scheme.toLowerCase() === 'basic' ? Buffer.from(credentials, 'base64').toString() : '';
  const password = plain.slice(plain.indexOf(':') + 1);
  const secrets = [credentials, plain, password, ...new URLSearchParams(query).values()];
  // Shorter ones are no secrets, and taking out every `1` would leave nothing to read.
  return secrets.filter((secret) => secret.length >= 4);
}

/** The same of the environment's proxies: one that fails may repeat what it was sent, too. */
export function proxySecrets(environment: Readonly<Record<string, string | undefined>>): string[] {
  const proxies = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy'].map((name) => environment[name]);
  return proxies.flatMap((text) => {
    const url = text ? URL.parse(text) : null;
    const authorization = url && (url.username || url.password) ? basicAuthorization(url) : undefined;
    return endpointSecrets({ url: '', authorization, query: '' });
  });
}

/** RFC 7617; the user part of a URL is percent-encoded. */
function basicAuthorization(url: URL): string {
  const decode = (part: string) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  };
  return `Basic ${Buffer.from(`${decode(url.username)}:${decode(url.password)}`).toString('base64')}`;
}

/**
 * Text that was to be a URL and is none, for the message that says so. Whatever stands before an `@` goes; so does all
 * that follows the scheme where a password may have been cut in two (by the comma of a list).
 */
export function withoutSecrets(text: string): string {
  const bare = text.replace(/^(\s*[a-z][a-z0-9+.-]*:\/\/)?.*@/is, '$1…@').replace(/\?.*$/s, '?…');
  return /^[^/]*\/\/[^/]*:(?!\d+(\/|$))/.test(bare) ? bare.replace(/\/\/.*$/s, '//…') : bare;
}
