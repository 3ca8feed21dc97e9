/** Serves a directory by writing one file into it: stands for FUSE where only the order of events is tested. */
import { rmSync, writeFileSync } from 'node:fs';
import type { ServeDirectory } from '../../../src/cli/serve-directory.ts';

export const serveDirectory: ServeDirectory = async (reference, directory, { volumeOptions }) => {
  const file = `${directory}/served`;
  writeFileSync(file, JSON.stringify({ reference, volumeOptions }));
  return { ended: new Promise(() => {}), unmount: async () => rmSync(file, { force: true }) };
};
