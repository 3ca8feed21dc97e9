/**
 * Boot profiles in the state directory: one JSON file for each root they were recorded on, and one for each name that an
 * import gave. Replaced whole; a file that does not parse is set aside, said, and costs nothing but its profile.
 * One that the disk does not give (too many open files, a failing disk) stays as it is. What a run adds is written when the
 * disk has answered: it may not, and nobody waits for a profile.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { diskTakes } from '../base/disk-answers.ts';
import { CodedError, messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { parseCidText } from '../blocks/parse-cid.ts';
import { type BootProfile, decodeProfile, encodeProfile, MAX_PROFILE_BYTES, mergeProfiles } from './boot-profile.ts';

/** What volume options take for a name too; all of it fits a file's. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

export interface KeptProfile {
  readonly name: string;
  readonly root: string;
  readonly blocks: number;
  readonly runs: number;
}

export class ProfileStore {
  readonly #directory: string;
  readonly #logger: Logger;
  #merging: Promise<unknown> = Promise.resolve();

  /** In `directory`, made where it is missing. */
  constructor(directory: string, logger: Logger) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#directory = directory;
    this.#logger = logger;
  }

  /** The profile kept under a root's CID or an import's name; undefined where there is none that can be read. */
  get(name: string): BootProfile | undefined {
    if (!NAME.test(name)) return undefined;
    try {
      return this.#read(name);
    } catch (error) {
      this.#logger.warn({ file: this.#path(name), error: messageChain(error) }, 'a boot profile cannot be read');
      return undefined;
    }
  }

  /** True where one is kept under that name, readable or not. */
  has(name: string): boolean {
    return NAME.test(name) && existsSync(this.#path(name));
  }

  /**
   * Merges a run into what is kept of its root, else into `other` (a profile of that root from elsewhere), and gives the
   * result. Trouble with the disk is logged.
   */
  merge(run: BootProfile, other?: BootProfile): BootProfile {
    const mergedWith = (before?: BootProfile) => (before?.root === run.root ? mergeProfiles(before, run) : run);
    let merged = mergedWith(other);
    try {
      merged = mergedWith(this.#read(run.root) ?? other);
      this.#write(run.root, merged);
    } catch (error) {
      this.#logger.warn({ root: run.root, error: messageChain(error) }, 'a boot profile could not be saved');
    }
    return merged;
  }

  /** `merge`, as soon as the disk answers. */
  mergeLater(run: BootProfile, other?: BootProfile): Promise<BootProfile> {
    const merging = this.#merging.then(() => diskTakes(this.#directory)).then(() => this.merge(run, other));
    this.#merging = merging;
    return merging;
  }

  /** Resolves once all that was to be merged is. */
  async settled(): Promise<void> {
    await this.#merging;
  }

  /** Keeps an imported profile for its root, and under `name` too where one is given. @throws OPTION_INVALID, INTERNAL */
  async import(profile: BootProfile, name?: string): Promise<BootProfile> {
    await diskTakes(this.#directory);
    if (name !== undefined) {
      if (!NAME.test(name)) throw new CodedError('OPTION_INVALID', `"${name}" cannot be the name of a profile`);
      // What runs on that root recorded would be written over, and the volume option means the profile in that block.
      if (isCid(name)) throw new CodedError('OPTION_INVALID', `"${name}" cannot be the name of a profile: it is a CID`);
      this.#write(name, profile);
    }
    const before = this.get(profile.root);
    if (!before) return this.merge(profile);
    // Which of its runs are known here already nobody knows: none is counted twice, and the same file again changes nothing.
    const merged = { ...mergeProfiles(before, profile), runs: Math.max(before.runs, profile.runs) };
    this.#write(profile.root, merged);
    return merged;
  }

  list(): KeptProfile[] {
    const names = readdirSync(this.#directory).filter((file) => file.endsWith('.json'));
    return names.flatMap((file) => {
      const name = file.slice(0, -'.json'.length);
      const profile = this.get(name);
      return profile ? [{ name, root: profile.root, blocks: profile.blocks.size, runs: profile.runs }] : [];
    });
  }

  /** Undefined where there is none, or a damaged one, which is then set aside. @throws the disk's error */
  #read(name: string): BootProfile | undefined {
    const path = this.#path(name);
    try {
      if (statSync(path).size > MAX_PROFILE_BYTES) throw new CodedError('INPUT_INVALID', 'it is too large');
      return decodeProfile(readFileSync(path, 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      if (!(error instanceof CodedError)) throw error;
      this.#setAside(path, error);
      return undefined;
    }
  }

  #path(name: string): string {
    return join(this.#directory, `${name}.json`);
  }

  #write(name: string, profile: BootProfile): void {
    const temporary = `${this.#path(name)}.new`;
    try {
      // Not synced: a power cut costs a profile at the most, and half a file is set aside when it is read.
      writeFileSync(temporary, encodeProfile(profile), { mode: 0o600 });
      renameSync(temporary, this.#path(name));
    } catch (cause) {
      rmSync(temporary, { force: true });
      throw new CodedError('INTERNAL', `the profile cannot be saved in ${this.#directory}`, { cause });
    }
  }

  #setAside(path: string, error: unknown): void {
    const aside = `${path}.damaged`;
    try {
      renameSync(path, aside);
    } catch {
      // Whatever keeps it from being renamed keeps it from being read, too.
    }
    this.#logger.warn({ file: aside, error: messageChain(error) }, 'a boot profile was damaged and is set aside');
  }
}

function isCid(text: string): boolean {
  try {
    parseCidText(text);
    return true;
  } catch {
    return false;
  }
}
