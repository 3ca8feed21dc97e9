/**
 * Roots whose blocks are to be unpinned, as a file: unpinning takes a while, its volume is gone from the state file by
 * then, and a daemon that ends in the middle would leave pins that nobody knows of.
 */
import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { CID } from 'multiformats/cid';
import { messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';

export class UnpinList {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #roots = new Set<string>();
  #saving: Promise<void> = Promise.resolve();

  /** What the file `path` says; nothing where there is none. */
  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
    try {
      const listed = JSON.parse(readFileSync(path, 'utf8')) as string[];
      for (const root of listed) this.#roots.add(CID.parse(root).toString());
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      logger.warn({ file: path, error: messageChain(error) }, 'what was to be unpinned cannot be read');
    }
  }

  get roots(): CID[] {
    return [...this.#roots].map((root) => CID.parse(root));
  }

  /** Resolves once it stands in the file, or cannot. */
  add(root: CID): Promise<void> {
    this.#roots.add(root.toString());
    return this.#save();
  }

  /** It is done. Likewise. */
  delete(root: CID): Promise<void> {
    return this.#roots.delete(root.toString()) ? this.#save() : this.#saving;
  }

  #save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#write());
    return this.#saving;
  }

  async #write(): Promise<void> {
    try {
      await writeFile(`${this.#path}.new`, JSON.stringify([...this.#roots]), { mode: 0o600 });
      await rename(`${this.#path}.new`, this.#path);
    } catch (error) {
      // Then it is done by this process or not at all.
      this.#logger.warn({ file: this.#path, error: messageChain(error) }, 'what is to be unpinned cannot be saved');
    }
  }
}
