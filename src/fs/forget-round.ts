/**
 * Which nodes the kernel is to be asked to forget: round after round over all of them, each round from the longest known
 * on. What is in use the kernel keeps, and a directory is in use as long as it knows anything in it; so of those that are
 * named at a time the youngest come first, which stand below the others.
 */
import type { NodeId } from './file-system.ts';

/** Something that can be gone over; numbers that come or go meanwhile may be among them or not. */
interface Numbered {
  readonly size: number;
  ids(): IterableIterator<NodeId>;
}

export class ForgetRound {
  readonly #kinds: readonly { readonly all: Numbered; rest: IterableIterator<NodeId> | undefined }[];

  /** `kinds` are gone over side by side, so that directories come with the files in them. */
  constructor(...kinds: readonly Numbered[]) {
    this.#kinds = kinds.map((all) => ({ all, rest: undefined }));
  }

  /** The next `count` or so, of each kind its share. */
  next(count: number): NodeId[] {
    const total = this.#kinds.reduce((sum, { all }) => sum + all.size, 0);
    const ids: NodeId[] = [];
    for (const kind of this.#kinds) {
      kind.rest ??= kind.all.ids();
      const end = ids.length + Math.ceil((count * kind.all.size) / total);
      while (ids.length < end) {
        const { value, done } = kind.rest.next();
        if (!done) ids.push(value);
        else {
          kind.rest = undefined;
          break;
        }
      }
    }
    return ids.sort((a, b) => b - a);
  }

  /** To be called when nothing more is to be forgotten: half a round would keep what a map was before it was rebuilt. */
  end(): void {
    for (const kind of this.#kinds) kind.rest = undefined;
  }
}
