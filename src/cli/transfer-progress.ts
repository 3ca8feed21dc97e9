/**
 * Progress of `add` and `import`: a bar on stderr where stderr is a terminal, silence elsewhere.
 */
import { SingleBar } from 'cli-progress';
import { formatBytes } from '../base/units.ts';
import type { Output } from './cli-parts.ts';

export interface TransferProgress {
  /** More bytes went by. */
  advance(bytes: number): void;
  /** Leaves the last state on the screen. */
  stop(): void;
}

/** A bar labelled `label` toward `totalBytes`, or a mere counter where the total is not known. */
export function transferProgress(output: Output, label: string, totalBytes: number | undefined): TransferProgress {
  if (!output.isTTY) return { advance: () => {}, stop: () => {} };
  const known = totalBytes !== undefined;
  const bar = new SingleBar({
    stream: output as NodeJS.WriteStream,
    // Ten pictures a second: enough for the eye, nothing for the processor.
    fps: 10,
    hideCursor: true,
    clearOnComplete: false,
    format: known
      ? `${label} [{bar}] {percentage}% {bytes} of {total_bytes}, {rate}/s, {eta_formatted} left`
      : `${label} {bytes}, {rate}/s`,
  });
  const startedMs = performance.now();
  let doneBytes = 0;
  const payload = () => ({
    bytes: formatBytes(doneBytes),
    total_bytes: formatBytes(totalBytes ?? 0),
    rate: formatBytes(doneBytes / Math.max(0.001, (performance.now() - startedMs) / 1000)),
  });
  bar.start(totalBytes ?? 1, 0, payload());
  return {
    advance(bytes) {
      doneBytes += bytes;
      bar.update(known ? doneBytes : 0, payload());
    },
    stop: () => bar.stop(),
  };
}
