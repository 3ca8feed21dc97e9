/** A profile's plan: groups in the place of their first block, and what is in them as soon as they are over. */
import { describe, expect, it } from 'vitest';
import type { PlannedGroup } from '../../src/prefetch/plan.ts';
import { ProfilePlan } from '../../src/prefetch/profile-plan.ts';
import { type ContentKey, contentKey } from '../../src/unixfs/content-key.ts';
import { makeBlock } from '../support/make-block.ts';

const names = ['a', 'b', 'large', 'c', 'd', 'larger', 'file', 'other'] as const;
type Name = (typeof names)[number];
type Planned = ReturnType<ProfilePlan['next']>;
const KEYS = Object.fromEntries(names.map((name) => [name, contentKey(makeBlock(name).cid)])) as Record<
  Name,
  ContentKey
>;
const nameOf = (key: ContentKey) => names.find((name) => KEYS[name] === key);
const nameOfPlanned = (planned: Planned) => planned && nameOf('over' in planned ? planned.node : planned.key);

function plan(): ProfilePlan {
  const ordered = (['a', 'b', 'large', 'c', 'd', 'larger'] as const).map((name): [ContentKey, number] => [
    KEYS[name],
    10,
  ]);
  const groups = [
    { key: KEYS.file, blocks: [KEYS.a, KEYS.c] },
    { key: KEYS.other, blocks: [KEYS.d, KEYS.b] },
  ];
  return new ProfilePlan({ root: makeBlock('root').cid.toString(), runs: 1, blocks: new Map(ordered), groups });
}

describe('the plan of a profile with groups', () => {
  it('has the blocks of one that is over before what is needed later, each once', () => {
    const work = plan();
    const first = work.next() as PlannedGroup;
    expect([nameOf(first.node), first.expectedBytes, first.blocks]).toEqual(['file', 20, [KEYS.a, KEYS.c]]);
    first.over();
    const order: unknown[] = [];
    for (let planned = work.next(); planned; planned = work.next()) {
      order.push(nameOfPlanned(planned));
      if ('over' in planned) planned.over();
    }
    expect(order).toEqual(['a', 'c', 'other', 'd', 'b', 'large', 'larger']);
  });

  it('goes on beside those that are under way, and waits for them at its end', () => {
    const work = plan();
    const out = Array.from({ length: 5 }, () => work.next());
    expect(out.map(nameOfPlanned)).toEqual(['file', 'other', 'large', 'larger', undefined]);
    (out[1] as PlannedGroup).over();
    expect([work.next(), work.next(), work.next()].map(nameOfPlanned)).toEqual(['d', 'b', undefined]);
    (out[0] as PlannedGroup).over();
    expect([work.next(), work.next(), work.next()].map(nameOfPlanned)).toEqual(['a', 'c', undefined]);
  });
});
