/** What the control API does with one volume: fetch all of it, give its space back, its boot profile. */
import { CID } from 'multiformats/cid';
import { CodedError } from '../src/base/errors.ts';
import { type BootProfile, decodeProfile } from '../src/prefetch/boot-profile.ts';
import type { Prefetcher } from '../src/prefetch/prefetcher.ts';
import type { ProfileStore } from '../src/prefetch/profile-store.ts';
import type { Evicted, ProfileSummary, VolumeStatus } from '../src/volumes/control-api.ts';
import { directoryNameOf } from '../src/volumes/volume-name.ts';
import { rootOf } from '../src/volumes/volume-record.ts';
import type { VolumeRegistry } from '../src/volumes/volume-registry.ts';
import type { VolumeStatuses } from '../src/volumes/volume-status.ts';

export interface VolumeCommands {
  /** Resolves once all is here. @throws VOLUME_NOT_FOUND, BLOCK_UNAVAILABLE, ABORTED, and as a mount does */
  prefetch(name: string, signal: AbortSignal): Promise<VolumeStatus>;
  /** @throws VOLUME_NOT_FOUND, VOLUME_IN_USE where it is pinned, and as a mount does where its reference was never looked up */
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
      const options = registry.options(name);
      if (options.pin) {
        throw new CodedError('VOLUME_IN_USE', `the volume "${name}" is pinned: remove it to have its space back`);
      }
      const root = rootNow(registry, name) ?? CID.parse((await registry.content(name, signal)).cid);
      const others = rootsOf(registry, (other) => other !== name);
      const roots = [...others.values()];
      const { sharing, ...bytes } = await prefetcher.evict(directoryNameOf(name), root, options, roots, signal);
      const shares = (other: CID) => sharing.some((shared) => shared.equals(other));
      return { ...bytes, sharedWith: [...others].filter(([, other]) => shares(other)).map(([other]) => other) };
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

/** The content roots, as far as nobody need be asked, of the volumes that `choose` takes by their name. */
export function rootsOf(registry: VolumeRegistry, choose: (name: string) => boolean): Map<string, CID> {
  const chosen = registry.list().filter(({ name }) => choose(name));
  return new Map(
    chosen.flatMap(({ name }) => {
      const root = rootNow(registry, name);
      return root ? [[name, root]] : [];
    }),
  );
}

function rootNow(registry: VolumeRegistry, name: string): CID | undefined {
  return rootOf(registry.get(name), registry.options(name).reference);
}

function rootText(root: string): string {
  try {
    return CID.parse(root).toV1().toString();
  } catch {
    return root;
  }
}
