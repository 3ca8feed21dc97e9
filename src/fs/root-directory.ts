/**
 * The root directory: a name for each mounted volume. The one directory whose names come and go; adding one needs no
 * content and no network.
 *
 * A volume's serial is its cursor in the listing. It outlives the process: a volume that another process had added keeps
 * its serial, and its place, where it is added again as it was.
 */
import { CodedError } from '../base/errors.ts';
import { contentKey } from '../unixfs/content-key.ts';
import { MountedVolume, type Owner, type VolumeSpec } from './mounted-volume.ts';
import { NO_RECORDER, type NodeRecorder } from './node-recorder.ts';

/** A volume as another process knew it. */
type RestoredSpec = Omit<VolumeSpec, 'kind'>;

export class RootDirectory {
  /** By name, in the order of their serials. What was restored and not added again yet is in here, unmounted. */
  readonly #volumes = new Map<string, MountedVolume>();
  readonly #owners = new Map<string, Owner>();
  readonly #recorder: NodeRecorder;
  #nextSerial = 1;

  constructor(recorder: NodeRecorder = NO_RECORDER) {
    this.#recorder = recorder;
  }

  /** Every serial from here on is new. */
  get nextSerial(): number {
    return this.#nextSerial;
  }

  /** @throws VOLUME_EXISTS */
  add(spec: VolumeSpec): MountedVolume {
    const known = this.#volumes.get(spec.name);
    if (known?.mounted) throw new CodedError('VOLUME_EXISTS', `"${spec.name}" is mounted already`);
    const volume = known && isSame(known, spec) ? known : this.#make(spec);
    volume.mounted = true;
    volume.kind ??= spec.kind;
    this.#recorder.volumeAdded(volume);
    return volume;
  }

  /** False where there is none of that name. */
  remove(name: string): boolean {
    const volume = this.get(name);
    if (!volume) return false;
    volume.mounted = false;
    this.#recorder.volumeRemoved(volume);
    return this.#volumes.delete(name);
  }

  get(name: string): MountedVolume | undefined {
    const volume = this.#volumes.get(name);
    return volume?.mounted ? volume : undefined;
  }

  find(name: Uint8Array): MountedVolume | undefined {
    return this.get(Buffer.from(name.buffer, name.byteOffset, name.length).toString());
  }

  *volumes(): Generator<MountedVolume, undefined> {
    for (const volume of this.#volumes.values()) if (volume.mounted) yield volume;
  }

  /** A volume of another process, which `add` may mount again. To be called in the order of serials. */
  restore(spec: RestoredSpec, serial: number): MountedVolume {
    this.reserve(serial + 1);
    const volume = new MountedVolume(spec, this.owner(spec), serial);
    volume.mounted = false;
    // Of two of one name the younger one is the one that was there in the end.
    this.#volumes.delete(spec.name);
    this.#volumes.set(spec.name, volume);
    return volume;
  }

  /** The other process had removed it: should the name come again, it is another volume. */
  restoreRemoval(serial: number): void {
    for (const [name, volume] of this.#volumes) if (volume.serial === serial) this.#volumes.delete(name);
  }

  /** Serials below `serial` are not given out any more. */
  reserve(serial: number): void {
    this.#nextSerial = Math.max(this.#nextSerial, serial);
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

  #make(spec: VolumeSpec): MountedVolume {
    const volume = new MountedVolume(spec, this.owner(spec), this.#nextSerial++);
    // Behind the others, also where one of that name was restored.
    this.#volumes.delete(spec.name);
    this.#volumes.set(spec.name, volume);
    return volume;
  }
}

/** True where nobody could tell the two apart but by when they were added. */
function isSame({ spec: known, owner, rootKey }: MountedVolume, spec: VolumeSpec): boolean {
  const masked = { fileMode: spec.fileMode & 0o777, dirMode: spec.dirMode & 0o777 };
  return (
    rootKey === contentKey(spec.root) &&
    known.timeoutMs === spec.timeoutMs &&
    owner.uid === spec.uid &&
    owner.gid === spec.gid &&
    owner.fileMode === masked.fileMode &&
    owner.dirMode === masked.dirMode
  );
}
