/**
 * The check for a Node too old. It must run before anything that an old Node cannot parse or link is loaded, so this
 * file imports nothing and uses nothing that Node 12 does not know.
 */

/** `engines.node` of package.json: what Node 24 alone has is used freely elsewhere. */
const MINIMUM_MAJOR = 24;

/** The line to print where `version` (such as `20.19.2`) is too old, else `undefined`. */
export function nodeTooOld(version: string): string | undefined {
  const major = Number.parseInt(version, 10);
  if (major >= MINIMUM_MAJOR) return undefined;
  return `ipfs-volume: Node ${MINIMUM_MAJOR} or newer is needed, this is Node ${version} (${process.execPath})`;
}
