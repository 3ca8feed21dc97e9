/**
 * The gateways asked where none are configured: public, trustless, answering `/ipfs/CID` without a redirect (a gateway
 * that sends each CID to a host name of its own costs a connection a block).
 *
 * Whoever runs them sees which CIDs this machine asks for, and they may limit how often: whoever minds sets
 * IPFS_VOLUME_GATEWAYS. They are trusted with nothing else; every block is verified.
 */
export const DEFAULT_GATEWAYS: readonly string[] = [
  // The IPFS Foundation's, made for clients that verify: raw blocks, CARs and IPNS records only.
  'https://trustless-gateway.link',
  // Filebase's and 4EVERLAND's serve the same formats by path.
  'https://ipfs.filebase.io',
  'https://4everland.io',
];
