/**
 * Row 11: `docker run` on a volume of 100 GB, beside the same on an empty volume of Docker's local driver. On an engine of
 * the benchmark's own, with the daemon as an unmanaged plugin, and a gateway of generated content 50 ms away.
 */

import { mkdir, rm, symlink } from 'node:fs/promises';
import { Engine, IMAGE } from '../../test/docker/support/engine.ts';
import { type Benchmark, interleave, type Trial } from '../benchmark.ts';
import { seconds } from '../child.ts';
import { startGenerated } from '../generated.ts';
import { LINKS, linkText, measureLink, openLink } from '../link.ts';
import { VolumeDaemon } from '../volume-daemon.ts';

const SOCKETS = '/run/docker/plugins';
/** A container takes half a second, so that more rounds than elsewhere cost little. */
const RUNS_A_ROUND = 3;

export const dockerRun: Benchmark = {
  name: 'docker-run',
  title: 'Row 11: docker run on a volume of 100 GB, 1 Gbit/s and 50 ms',
  programs: ['dockerd', 'docker', 'containerd'],
  async run(options) {
    const generated = await startGenerated([
      { files: 61, leavesEach: 1600, differentLeaves: 512, directories: 100, entriesEach: 1000 },
    ]);
    const [cid = ''] = generated.cids;
    const link = await openLink(generated.port, LINKS.far);
    options.note(`Link: ${linkText(LINKS.far)} asked for, ${linkText(await measureLink(LINKS.far))} measured.`);
    const name = `ipfsbench${process.pid}`;
    const engine = new Engine();
    const daemon = await VolumeDaemon.start({ gatewayUrl: `http://127.0.0.1:${link.port}` });
    try {
      await engine.start();
      const built = await engine.script('build');
      if (built.code !== 0) throw new Error(`the base image could not be made: ${built.stderr}`);
      await mkdir(SOCKETS, { recursive: true });
      await symlink(daemon.client.socketPath, `${SOCKETS}/${name}.sock`);
      let number = 0;
      const trial = (contender: string, volume: () => string): Trial => ({
        contender,
        async run() {
          const taken: number[] = [];
          for (let count = 0; count < RUNS_A_ROUND; count++) {
            const mount = ['--mount', `type=volume,dst=/data,${volume()}`];
            const args = ['run', '--rm', '--network', 'none', ...mount, IMAGE, 'true'];
            taken.push(await seconds('docker', args, engine.environment));
          }
          return taken.map((value) => ({ workload: 'docker run … true', unit: 's', value }));
        },
      });
      return await interleave(
        [
          trial('ipfs-volume, 100 GB', () => `src=v${++number},volume-driver=${name},volume-opt=cid=${cid}`),
          trial('local driver, empty', () => `src=l${++number}`),
        ],
        options,
      );
    } finally {
      await rm(`${SOCKETS}/${name}.sock`, { force: true });
      await engine[Symbol.asyncDispose]();
      await daemon.stop();
      await link.close();
      await generated.close();
    }
  },
};
