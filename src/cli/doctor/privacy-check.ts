/** Who learns what is asked for. */
import type { Diagnosis } from '../../volumes/control-api.ts';
import type { CheckedConfiguration } from '../cli-parts.ts';
import { diagnosis } from './machine-checks.ts';

/** Said wherever the default gateways are in use, reachable or not. */
export function checkPrivacy(configuration: CheckedConfiguration): Diagnosis[] {
  if (!configuration.gatewaysAreDefault || configuration.gateways.length === 0) return [];
  const detail = 'the default public gateways are in use: their operators see which CIDs are asked for';
  return [
    diagnosis('privacy', 'warning', detail, 'set IPFS_VOLUME_GATEWAYS to gateways that you trust, or to nothing'),
  ];
}
