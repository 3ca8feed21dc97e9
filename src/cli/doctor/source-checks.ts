/**
 * Whether sources answer, asked from here: for a machine on which no daemon runs, or none that answers.
 *
 * Nothing is asked for that would tell what anybody mounts: Kubo is asked for its version, a gateway for the empty
 * identity block `bafkqaaa`, which the trustless gateway specification names as the probe.
 */
import { request } from 'undici';
import type { Diagnosis } from '../../volumes/control-api.ts';
import type { CheckedConfiguration } from '../cli-parts.ts';
import { diagnosis } from './machine-checks.ts';

/** Long enough for a TLS handshake across the world; a source slower than this would be demoted anyway. */
const PROBE_TIMEOUT_MS = 5000;

/** One diagnosis a source, asked at once. A source that does not answer is a warning: another may; none at all fails. */
export async function checkSources(configuration: CheckedConfiguration): Promise<Diagnosis[]> {
  const { kuboRpc, gateways } = configuration;
  const checks = [
    ...(kuboRpc ? [checkKubo(kuboRpc, configuration.kuboRpcAuth)] : []),
    ...gateways.map((url) => checkGateway(url, configuration.gatewayAuth)),
  ];
  const results = await Promise.all(checks);
  if (results.some((result) => result.outcome === 'ok')) return results;
  const advice =
    'set IPFS_VOLUME_KUBO_RPC or IPFS_VOLUME_GATEWAYS to one that can be reached, or add and import content';
  return [
    ...results,
    diagnosis('sources', 'warning', 'none answers: only what is stored on this machine can be mounted', advice),
  ];
}

/** Said wherever the default gateways are in use, reachable or not. */
export function checkPrivacy(configuration: CheckedConfiguration): Diagnosis[] {
  if (!configuration.gatewaysAreDefault || configuration.gateways.length === 0) return [];
  const detail = 'the default public gateways are in use: their operators see which CIDs are asked for';
  return [
    diagnosis('privacy', 'warning', detail, 'set IPFS_VOLUME_GATEWAYS to gateways that you trust, or to nothing'),
  ];
}

async function checkKubo(url: string, auth: string | undefined): Promise<Diagnosis> {
  const check = `kubo ${withoutCredentials(url)}`;
  try {
    const { statusCode, body } = await probe(new URL('/api/v0/version', url), 'POST', auth);
    const text = await body.text();
    if (statusCode === 401 || statusCode === 403) {
      return diagnosis(check, 'warning', `refused (${statusCode})`, 'set IPFS_VOLUME_KUBO_RPC_AUTH');
    }
    const { Version } = JSON.parse(text) as { Version?: string };
    if (statusCode === 200 && Version) return diagnosis(check, 'ok', `version ${Version}`);
    throw new Error(`answered ${statusCode}, which is not Kubo`);
  } catch (error) {
    return unreachable(check, error, 'start Kubo, or set IPFS_VOLUME_KUBO_RPC to where it listens');
  }
}

async function checkGateway(url: string, auth: string | undefined): Promise<Diagnosis> {
  const check = `gateway ${withoutCredentials(url)}`;
  try {
    const base = url.endsWith('/') ? url : `${url}/`;
    const { statusCode, body } = await probe(new URL('ipfs/bafkqaaa?format=raw', base), 'GET', auth);
    const length = (await body.arrayBuffer()).byteLength;
    if (statusCode === 200 && length === 0) return diagnosis(check, 'ok', 'answers');
    throw new Error(`answered ${statusCode} with ${length} bytes, which is not a trustless gateway`);
  } catch (error) {
    return unreachable(check, error, 'check the network and HTTPS_PROXY, or take another in IPFS_VOLUME_GATEWAYS');
  }
}

function probe(url: URL, method: 'GET' | 'POST', auth: string | undefined) {
  return request(url, {
    method,
    ...(auth ? { headers: { authorization: auth } } : {}),
    signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
  });
}

function unreachable(check: string, error: unknown, advice: string): Diagnosis {
  const { name, code, message } = error as NodeJS.ErrnoException;
  const why = name === 'TimeoutError' ? `no answer in ${PROBE_TIMEOUT_MS / 1000} s` : (code ?? message);
  return diagnosis(check, 'warning', why, advice);
}

/** Credentials in a URL are never shown. */
function withoutCredentials(text: string): string {
  if (!URL.canParse(text)) return text;
  const url = new URL(text);
  url.username = '';
  url.password = '';
  return url.href.replace(/\/$/, '');
}
