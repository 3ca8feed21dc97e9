/**
 * Progress of `add`, `import` and `store export`: a bar on stderr where stderr is a terminal, silence elsewhere.
 */
import { SingleBar } from 'cli-progress';
import { formatBytes } from '../base/units.ts';
import type { Output } from './cli-parts.ts';

export interface TransferProgress {
  /** More bytes went by, and more entries of a tree were done. */
  advance(bytes: number, entries?: number): void;
  /** Leaves the last state on the screen. */
  stop(): void;
}

export interface TransferTotal {
  readonly bytes: number;
  /** Of a tree; undefined where bytes are all there is. */
  readonly entries?: number;
}

/** Roughly how many bytes go by in the time that an entry takes: without it a tree of small files would hardly move. */
const BYTES_AN_ENTRY = 16 * 1024;

/** A bar labelled `label` toward `total`, or a mere counter where that is not known. */
export function transferProgress(output: Output, label: string, total: TransferTotal | undefined): TransferProgress {
  if (!output.isTTY) return { advance: () => {}, stop: () => {} };
  const work = (bytes: number, entries: number): number => bytes + entries * BYTES_AN_ENTRY;
  const ofEntries = total?.entries === undefined ? '' : ', {entries} of {total_entries} entries';
  const bar = new SingleBar({
    stream: output as NodeJS.WriteStream,
    // Ten pictures a second: enough for the eye, nothing for the processor.
    fps: 10,
    hideCursor: true,
    clearOnComplete: false,
    format: total
      ? `${label} [{bar}] {percentage}% {bytes} of {total_bytes}${ofEntries}, {rate}/s, {eta_formatted} left`
      : `${label} {bytes}, {rate}/s`,
  });
  const startedMs = performance.now();
  let doneBytes = 0;
  let doneEntries = 0;
  const payload = () => ({
    bytes: formatBytes(doneBytes),
    total_bytes: formatBytes(total?.bytes ?? 0),
    entries: doneEntries,
    total_entries: total?.entries ?? 0,
    rate: formatBytes(doneBytes / Math.max(0.001, (performance.now() - startedMs) / 1000)),
  });
  // At least 1, or an empty file would be a bar of no length.
  bar.start(Math.max(1, work(total?.bytes ?? 0, total?.entries ?? 0)), 0, payload());
  return {
    advance(bytes, entries = 0) {
      doneBytes += bytes;
      doneEntries += entries;
      bar.update(total ? work(doneBytes, doneEntries) : 0, payload());
    },
    stop: () => bar.stop(),
  };
}
