/**
 * The volumes that hold a file node. A million nodes of two volumes share three sets, which is why a set never changes:
 * `with` answers the one that has the volume too.
 */
import type { OnBlock } from '../blocks/block-reader.ts';
import type { MountedVolume } from './mounted-volume.ts';

export class VolumeSet {
  static readonly empty = new VolumeSet([]);

  readonly volumes: readonly MountedVolume[];
  /** Weak, so that sets go when their volumes do. */
  readonly #larger = new WeakMap<MountedVolume, VolumeSet>();

  private constructor(volumes: readonly MountedVolume[]) {
    this.volumes = volumes;
  }

  /** The set of these, mounted or not: as another process had it. */
  static restored(volumes: readonly MountedVolume[]): VolumeSet {
    return volumes.reduce((set, volume) => set.#and(volume), VolumeSet.empty);
  }

  /** This set and `volume`, less what was removed meanwhile. */
  with(volume: MountedVolume): VolumeSet {
    // Nearly always a node is met again through the one volume that holds it.
    if (this.volumes[0] === volume || this.volumes.includes(volume)) return this;
    if (!this.volumes.every((held) => held.mounted)) {
      const mounted = this.volumes.filter((held) => held.mounted);
      return mounted.reduce((set, held) => set.with(held), VolumeSet.empty).with(volume);
    }
    return this.#and(volume);
  }

  #and(volume: MountedVolume): VolumeSet {
    if (this.volumes.includes(volume)) return this;
    let larger = this.#larger.get(volume);
    if (!larger) {
      larger = new VolumeSet([...this.volumes, volume]);
      this.#larger.set(volume, larger);
    }
    return larger;
  }

  /** Counts for each of those still mounted: a file in several volumes is read on the account of all. */
  readonly account: OnBlock = (cid, sizeBytes, how) => {
    for (const volume of this.volumes) if (volume.mounted) volume.account(cid, sizeBytes, how);
  };

  /** The longest time-out of those still mounted, or of all where none is. */
  get timeoutMs(): number {
    let longestMs = 0;
    let longestMountedMs = 0;
    for (const { spec, mounted } of this.volumes) {
      longestMs = Math.max(longestMs, spec.timeoutMs);
      if (mounted) longestMountedMs = Math.max(longestMountedMs, spec.timeoutMs);
    }
    return longestMountedMs || longestMs;
  }
}
