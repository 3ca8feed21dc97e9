/**
 * Whether sources answer, asked from here: by the daemon, or by `doctor` on a machine where none answers. It stands with
 * the composition root, since the command line knows no source.
 *
 * Nothing is asked for that would tell what anybody mounts: Kubo is asked for its version, a gateway for the empty
 * identity block `bafkqaaa`, which the trustless gateway specification names as the probe. Both go the way that blocks
 * go, with the same proxies and authorization, so that what works here works in the daemon.
 */
import { hasCode, messageChain } from '../src/base/errors.ts';
import type { CheckedConfiguration } from '../src/cli/cli-parts.ts';
import { diagnosis } from '../src/cli/doctor/machine-checks.ts';
import { HttpClient } from '../src/sources/http-client.ts';
import { parseEndpoint } from '../src/sources/http-endpoint.ts';
import { kuboControl } from '../src/sources/kubo-control.ts';
import type { Diagnosis } from '../src/volumes/control-api.ts';

/** Long enough for a TLS handshake across the world; a source slower than this would be demoted anyway. */
const PROBE_TIMEOUT_MS = 5000;

/**
 * One diagnosis a source, all asked at once, and one more where none answers. None of them is a failure: content that
 * was added or imported needs no source.
 * @throws CONFIG_INVALID for an address that cannot be read
 */
export async function checkSources(configuration: CheckedConfiguration): Promise<Diagnosis[]> {
  const { kuboRpc, gateways } = configuration;
  const checks = [
    ...(kuboRpc ? [checkKubo(kuboRpc, configuration.kuboRpcAuth)] : []),
    ...gateways.map((url) => checkGateway(url, configuration.gatewayAuth)),
  ];
  const results = await Promise.all(checks);
  if (results.some((result) => result.outcome === 'ok')) return results;
  const detail = 'none is usable: only what is stored on this machine can be mounted';
  const advice = 'set IPFS_VOLUME_KUBO_RPC or IPFS_VOLUME_GATEWAYS to one that is, or add and import content';
  return [...results, diagnosis('sources', 'warning', detail, advice)];
}

async function checkKubo(rpc: string, authorization: string | undefined): Promise<Diagnosis> {
  const kubo = kuboControl({ rpc, authorization });
  try {
    const version = await kubo.version({ signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    return diagnosis(kubo.name, 'ok', `version ${version}`);
  } catch (error) {
    const advice = 'start Kubo, or set IPFS_VOLUME_KUBO_RPC (and IPFS_VOLUME_KUBO_RPC_AUTH) to one that answers';
    return silent(kubo.name, error, advice);
  } finally {
    await kubo.close();
  }
}

async function checkGateway(address: string, authorization: string | undefined): Promise<Diagnosis> {
  const endpoint = parseEndpoint(address, authorization);
  const http = new HttpClient(`gateway ${endpoint.url}`, endpoint);
  try {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    const answer = await http.ask({ method: 'GET', path: '/ipfs/bafkqaaa', query: 'format=raw', signal });
    const body = await answer.bytes(0);
    if (answer.status === 200 && body !== undefined) return diagnosis(http.name, 'ok', 'answers');
    const said = [answer.status, answer.type].filter((part) => part !== '').join(' ');
    const detail = `answers ${said}, which is not a trustless gateway`;
    return diagnosis(http.name, 'warning', detail, refusedAdvice(answer.status));
  } catch (error) {
    return silent(http.name, error, 'check the network and HTTPS_PROXY, or set IPFS_VOLUME_GATEWAYS to others');
  } finally {
    await http.close();
  }
}

/** Whoever answers is reached: what is wrong is the address, the authorization or the gateway. */
function refusedAdvice(status: number): string {
  if (status === 401 || status === 403) return 'set IPFS_VOLUME_GATEWAY_AUTH to what it accepts';
  if (status === 429 || status >= 500) return 'try again later, or set IPFS_VOLUME_GATEWAYS to others';
  return 'set IPFS_VOLUME_GATEWAYS to the address of a trustless gateway, below which /ipfs/CID?format=raw gives a block';
}

/** What a source failed with, without the name that stands before it already. */
function silent(name: string, error: unknown, advice: string): Diagnosis {
  // Nothing else ends a probe from here.
  const message = hasCode(error, 'ABORTED') ? `no answer within ${PROBE_TIMEOUT_MS / 1000} s` : messageChain(error);
  const detail = message.startsWith(`${name} `) ? message.slice(name.length + 1) : message;
  return diagnosis(name, 'warning', detail, advice);
}
