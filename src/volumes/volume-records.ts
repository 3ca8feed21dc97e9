/**
 * The volumes as they are kept: in memory, and with each change in the state file. Whoever changes a record, or which there are,
 * does so in a turn of `changes`.
 *
 * Nobody is told of a new one before it is on the disk: Docker would not create it again.
 */
import { CodedError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { StateChanges } from './state-changes.ts';
import type { StateFile } from './state-file.ts';
import { mountsOf, type VolumeRecord } from './volume-record.ts';

export interface VolumeRecordsOptions {
  readonly state: StateFile;
  /** Names the FUSE connection that this process serves. */
  readonly connection: string;
  readonly logger: Logger;
}

/** Named in one line of the log. */
const MAX_NAMED = 20;

export class VolumeRecords {
  readonly changes: StateChanges;
  readonly #options: VolumeRecordsOptions;
  readonly #records = new Map<string, VolumeRecord>();
  /** On its way to the disk. */
  #created: VolumeRecord | undefined;

  /**
   * Loads them. Of another connection than this one no mount is left: that is said, since whoever has one sees it dead and nothing
   * else tells him. @throws as `StateFile.load`
   */
  constructor(options: VolumeRecordsOptions) {
    this.#options = options;
    const { connection, volumes, calls } = options.state.load();
    this.changes = new StateChanges(calls, (latest) => this.#write(latest), options.logger);
    const isNew = connection !== options.connection;
    const lost = isNew ? volumes.filter((record) => mountsOf(record) > 0).map(({ name }) => name) : [];
    if (lost.length > 0) {
      options.logger.warn(
        { volumes: lost.slice(0, MAX_NAMED), count: lost.length },
        'volumes were mounted when ipfs-volume last ended: whatever container still runs with one is to be restarted',
      );
    }
    for (const record of volumes) {
      if (isNew) record.mounts = {};
      this.#records.set(record.name, record);
    }
    if (isNew) void this.changes.inTurn(() => this.changes.saveOrLater());
  }

  has(name: string): boolean {
    return this.#records.has(name);
  }

  find(name: string): VolumeRecord | undefined {
    return this.#records.get(name);
  }

  /** @throws VOLUME_NOT_FOUND */
  get(name: string): VolumeRecord {
    const record = this.#records.get(name);
    if (!record) throw notFound(name);
    return record;
  }

  list(): VolumeRecord[] {
    return [...this.#records.values()];
  }

  /** False once it was removed: its name may be another's by then. */
  isThere(record: VolumeRecord): boolean {
    return this.#records.get(record.name) === record;
  }

  /** For whoever waited meanwhile. @throws VOLUME_NOT_FOUND */
  checkIsThere(record: VolumeRecord): void {
    if (!this.isThere(record)) throw notFound(record.name);
  }

  /** In a turn. @throws as `StateFile.save` */
  async add(record: VolumeRecord): Promise<void> {
    this.#created = record;
    try {
      await this.changes.save();
      this.#records.set(record.name, record);
    } finally {
      this.#created = undefined;
    }
  }

  /** In a turn. @throws as `StateFile.save`; then it is still there */
  async remove(record: VolumeRecord): Promise<void> {
    this.#records.delete(record.name);
    await this.changes.saveOr(() => this.#records.set(record.name, record));
  }

  #write(calls: readonly string[]): Promise<void> {
    const volumes = this.#created ? [...this.list(), this.#created] : this.list();
    return this.#options.state.save({ connection: this.#options.connection, volumes, calls });
  }
}

function notFound(name: string): CodedError {
  // The engine looks for these words.
  return new CodedError('VOLUME_NOT_FOUND', `no such volume: ${name}`);
}
