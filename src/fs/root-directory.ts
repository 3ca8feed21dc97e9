/**
 * The root directory: a name for each mounted volume. The one directory whose names come and go; adding one needs no
 * content and no network.
 */
import { CodedError } from '../base/errors.ts';
import { MountedVolume, type Owner, type VolumeSpec } from './mounted-volume.ts';

export class RootDirectory {
  /** By name, in the order of adding, which is the order of their serials. */
  readonly #volumes = new Map<string, MountedVolume>();
  readonly #owners = new Map<string, Owner>();
  #nextSerial = 1;

  /** @throws VOLUME_EXISTS */
  add(spec: VolumeSpec): MountedVolume {
    if (this.#volumes.has(spec.name)) throw new CodedError('VOLUME_EXISTS', `"${spec.name}" is mounted already`);
    const volume = new MountedVolume(spec, this.owner(spec), this.#nextSerial++);
    this.#volumes.set(spec.name, volume);
    return volume;
  }

  /** False where there is none of that name. */
  remove(name: string): boolean {
    const volume = this.#volumes.get(name);
    if (!volume) return false;
    volume.mounted = false;
    return this.#volumes.delete(name);
  }

  get(name: string): MountedVolume | undefined {
    return this.#volumes.get(name);
  }

  find(name: Uint8Array): MountedVolume | undefined {
    return this.#volumes.get(Buffer.from(name.buffer, name.byteOffset, name.length).toString());
  }

  volumes(): IterableIterator<MountedVolume> {
    return this.#volumes.values();
  }

  /** The one object for all owners of these values: nodes are shared by owner. */
  owner({ uid, gid, fileMode, dirMode }: Owner): Owner {
    const key = `${uid}:${gid}:${fileMode & 0o777}:${dirMode & 0o777}`;
    let owner = this.#owners.get(key);
    if (!owner) {
      // Permission bits alone: nobody gets set-user-ID from a volume.
      owner = { uid, gid, fileMode: fileMode & 0o777, dirMode: dirMode & 0o777 };
      this.#owners.set(key, owner);
    }
    return owner;
  }
}
