/**
 * From the paths that libfuse speaks to the node numbers of the file system.
 *
 * Below a name of the root nothing ever changes, so what was found there is kept, by parent node and name. The names in
 * the root are looked up each time; one that was replaced has another node, and what was kept below the old one is never
 * found again. Every entry that is kept holds one look-up, given back when it is dropped. So does the latest node of each
 * name in the root: were it forgotten between two requests, it would come back with another number each time.
 */
import { LRUCache } from 'lru-cache';
import { chain, type MaybePromise } from '../../base/maybe-promise.ts';
import { type Attributes, type FileSystem, type NodeId, type RequestContext, ROOT_NODE } from '../../fs/file-system.ts';

/** As many as the kernel asks about at a time, and some: about 20 MiB when full. */
const KEPT_ENTRIES = 65_536;
/** The volumes that a machine is promised to have. */
const KEPT_VOLUMES = 1024;

export class PathWalk {
  readonly #fileSystem: FileSystem;
  readonly #kept: LRUCache<string, Attributes>;
  /** By name in the root. */
  readonly #volumes: LRUCache<string, NodeId>;

  constructor(fileSystem: FileSystem) {
    this.#fileSystem = fileSystem;
    this.#kept = new LRUCache<string, Attributes>({
      max: KEPT_ENTRIES,
      dispose: (attributes) => fileSystem.forget(attributes.node, 1),
    });
    this.#volumes = new LRUCache<string, NodeId>({
      max: KEPT_VOLUMES,
      dispose: (node) => fileSystem.forget(node, 1),
    });
  }

  /**
   * Calls `use` with the attributes of what is at `path`, whose node is held until `use` is through.
   * @throws what `FileSystem.lookup` throws
   */
  at<R>(path: string, context: RequestContext, use: (attributes: Attributes) => MaybePromise<R>): MaybePromise<R> {
    const names = path.split('/').filter((name) => name !== '');
    const first = names.shift();
    if (first === undefined) return chain(this.#fileSystem.attributes(ROOT_NODE, context), use);
    return chain(this.#fileSystem.lookup(ROOT_NODE, Buffer.from(first), context), ({ attributes }) =>
      lastly(
        () => chain(this.#below(attributes, names, context), use),
        () => this.#keepVolume(first, attributes.node),
      ),
    );
  }

  /** Looks `path` up for whoever keeps its node: the look-up is theirs, to be given back with `FileSystem.forget`. */
  hold(path: string, context: RequestContext): MaybePromise<Attributes> {
    const slash = path.lastIndexOf('/');
    return this.at(path.slice(0, slash), context, (parent) =>
      chain(
        this.#fileSystem.lookup(parent.node, Buffer.from(path.slice(slash + 1)), context),
        ({ attributes }) => attributes,
      ),
    );
  }

  /** Gives all look-ups back. */
  clear(): void {
    this.#kept.clear();
    this.#volumes.clear();
  }

  /** Takes a look-up of `node` over, or gives it back where there is one already; a former node's goes with it. */
  #keepVolume(name: string, node: NodeId): void {
    if (this.#volumes.get(name) === node) this.#fileSystem.forget(node, 1);
    else this.#volumes.set(name, node);
  }

  #below(from: Attributes, names: readonly string[], context: RequestContext): MaybePromise<Attributes> {
    let current = from;
    for (const [index, name] of names.entries()) {
      const key = `${current.node}/${name}`;
      const kept = this.#kept.get(key);
      if (kept) {
        current = kept;
        continue;
      }
      return chain(this.#fileSystem.lookup(current.node, Buffer.from(name), context), ({ attributes }) => {
        // Somebody else may have kept it while this one waited: then this look-up is one too many.
        if (this.#kept.has(key)) this.#fileSystem.forget(attributes.node, 1);
        else this.#kept.set(key, attributes);
        return this.#below(attributes, names.slice(index + 1), context);
      });
    }
    return current;
  }
}

/** `finally` without a promise where there is none. */
function lastly<R>(work: () => MaybePromise<R>, end: () => void): MaybePromise<R> {
  let result: MaybePromise<R>;
  try {
    result = work();
  } catch (error) {
    end();
    throw error;
  }
  if (result instanceof Promise) return result.finally(end);
  end();
  return result;
}
