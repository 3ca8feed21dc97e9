/** Where the registry shows its volumes: the file system, and whoever fetches ahead for it. */
import type { CID } from 'multiformats/cid';
import type { VolumeSpec } from '../fs/mounted-volume.ts';
import type { VolumeOptions } from './volume-options.ts';

/** Names are those of the mount root's directories. */
export interface VolumeTree {
  /** It is about to be added, once its root can be had, or else to be removed. */
  expectVolume?(name: string, root: CID, options: VolumeOptions): void;
  /** `starting` is false for a volume that an earlier process of this connection showed already. */
  addVolume(spec: VolumeSpec, options: VolumeOptions, starting: boolean): unknown;
  removeVolume(name: string): boolean;
  /** The volume of that name in the mount root has this content no more, or is gone; `root` is undefined where it was not known. */
  forgetVolume?(name: string, root: CID | undefined, options: VolumeOptions): void;
}
