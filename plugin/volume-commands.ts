/** What the control API does with one volume: fetch all of it, give its space back, its boot profile. */
import { CID } from 'multiformats/cid';
import { CodedError } from '../src/base/errors.ts';
import { type BootProfile, decodeProfile } from '../src/prefetch/boot-profile.ts';
import type { Prefetcher } from '../src/prefetch/prefetcher.ts';
import type { ProfileStore } from '../src/prefetch/profile-store.ts';
import type { Evicted, ProfileSummary, VolumeStatus } from '../src/volumes/control-api.ts';
import { directoryNameOf } from '../src/volumes/volume-name.ts';
import type { VolumeRegistry } from '../src/volumes/volume-registry.ts';
import type { VolumeStatuses } from '../src/volumes/volume-status.ts';

export interface VolumeCommands {
  /** Resolves once all is here. @throws VOLUME_NOT_FOUND, BLOCK_UNAVAILABLE, ABORTED, and as a mount does */
  prefetch(name: string, signal: AbortSignal): Promise<VolumeStatus>;
  /** @throws VOLUME_NOT_FOUND, VOLUME_IN_USE where it is pinned */
  evict(name: string, signal: AbortSignal): Promise<Evicted>;
  profiles(): ProfileSummary[];
  /** By root, by name, or by volume. @throws NOT_IN_STORE */
  profile(name: string): BootProfile;
  /** @throws INPUT_INVALID, OPTION_INVALID */
  importProfile(text: string, name: string | undefined): Promise<ProfileSummary>;
}

export function volumeCommands(
  registry: VolumeRegistry,
  statuses: VolumeStatuses,
  prefetcher: Prefetcher,
  profiles: ProfileStore,
): VolumeCommands {
  return {
    async prefetch(name, signal) {
      const { cid } = await registry.content(name, signal);
      await prefetcher.fetchAll(directoryNameOf(name), CID.parse(cid), registry.options(name), signal);
      return statuses.of(name);
    },
    async evict(name, signal) {
      const { resolved } = registry.get(name);
      if (registry.options(name).pin) {
        throw new CodedError('VOLUME_IN_USE', `the volume "${name}" is pinned: remove it to have its space back`);
      }
      if (!resolved) return { freedBytes: 0, keptBytes: 0 };
      const others = rootsOf(registry, (other) => other !== name);
      const freedBytes = await prefetcher.evict(directoryNameOf(name), CID.parse(resolved.cid), others, signal);
      return { freedBytes, keptBytes: statuses.of(name).bytesCached };
    },
    profiles: () => profiles.list(),
    profile(name) {
      const root = registry.has(name) ? (registry.get(name).resolved?.cid ?? name) : name;
      const profile = profiles.get(rootText(root)) ?? profiles.get(name);
      if (profile) return profile;
      throw new CodedError('NOT_IN_STORE', `there is no boot profile of "${name}"`);
    },
    async importProfile(text, name) {
      const { root, blocks, runs } = await profiles.import(decodeProfile(text), name);
      return { name: name ?? root, root, blocks: blocks.size, runs };
    },
  };
}

/** The content roots, where known, of the volumes that `choose` takes by their name. */
export function rootsOf(registry: VolumeRegistry, choose: (name: string) => boolean): CID[] {
  return registry.list().flatMap(({ name, resolved }) => (resolved && choose(name) ? [CID.parse(resolved.cid)] : []));
}

function rootText(root: string): string {
  try {
    return CID.parse(root).toV1().toString();
  } catch {
    return root;
  }
}
