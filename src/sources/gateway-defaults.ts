/**
 * The gateways asked where none are configured: public ones that serve what can be verified (raw blocks, CARs and IPNS
 * records), by path. They are shared by everyone and limit their clients (4EVERLAND to 300 requests a minute), which
 * is enough to try things and not to run them: a gateway or a Kubo node of one's own is.
 *
 * Whoever runs them sees which CIDs this machine asks for; whoever minds sets IPFS_VOLUME_GATEWAYS. They are trusted
 * with nothing else.
 */
export const DEFAULT_GATEWAYS: readonly string[] = [
  // The IPFS Foundation's for clients that verify: https://docs.ipfs.tech/concepts/public-utilities/
  'https://trustless-gateway.link',
  // https://docs.4everland.org/gateways/ipfs-gateway
  'https://4everland.io',
];
