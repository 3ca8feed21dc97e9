/**
 * How urgent a want is, most urgent first.
 *
 * - `demand`: a reader waits for it.
 * - `readahead`: the next window of a reader.
 * - `metadata`: root blocks of a listed directory's children, and the levels below while a tree is walked.
 * - `profile`: what the last run needed, in its order.
 * - `background`: the rest of the volume.
 */
export const PRIORITIES = ['demand', 'readahead', 'metadata', 'profile', 'background'] as const;

export type Priority = (typeof PRIORITIES)[number];

/** 0 for demand, 4 for background. */
export const PRIORITY_RANK: Readonly<Record<Priority, number>> = {
  demand: 0,
  readahead: 1,
  metadata: 2,
  profile: 3,
  background: 4,
};
