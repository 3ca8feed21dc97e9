/**
 * Row 11: `docker run` on a volume of 100 GB, beside the same on an empty volume of Docker's local driver. On an engine of
 * the benchmark's own with the managed plugin in it, as its script installs it, and a gateway of generated content 50 ms
 * away. A volume of which nothing is here yet costs the round trip of its root; the next container on it does not.
 */
import { Engine, IMAGE, IMAGE_SOURCE } from '../../test/docker/support/engine.ts';
import { type Benchmark, interleave, type Trial } from '../benchmark.ts';
import { seconds } from '../child.ts';
import { startGenerated } from '../generated.ts';
import { LINKS, linkText, measureLink, openLink } from '../link.ts';

const PLUGIN = `ipfs-bench-${process.pid}`;
/** A container takes half a second, so that more runs than elsewhere cost little. */
const RUNS_A_ROUND = 3;
/** 61 files of 1.6 GB are 100 GB. */
const HUNDRED_GB = { files: 61, leavesEach: 1600, entriesEach: 1000 };
const WORKLOAD = 'docker run … true';

export const dockerRun: Benchmark = {
  name: 'docker-run',
  title: 'Row 11: docker run on a volume of 100 GB, 1 Gbit/s and 50 ms',
  programs: ['dockerd', 'docker', 'containerd'],
  async run(options) {
    const generated = await startGenerated([
      { ...HUNDRED_GB, differentLeaves: 512, directories: 100 },
      ...Array.from({ length: options.rounds }, () => ({ ...HUNDRED_GB, differentLeaves: 32, directories: 0 })),
    ]);
    const [known = '', ...unknown] = generated.cids;
    const link = await openLink(generated.port, LINKS.far);
    options.note(`Link: ${linkText(LINKS.far)} asked for, ${linkText(await measureLink(LINKS.far))} measured.`);
    options.note('The managed plugin; containers without a network. The local driver is given a new volume each time.');
    const engine = new Engine();
    try {
      await engine.start();
      const settings = [`IPFS_VOLUME_GATEWAYS=http://127.0.0.1:${link.port}`, 'IPFS_VOLUME_KUBO_RPC='];
      const installed = await engine.script('install', '--name', PLUGIN, ...settings);
      if (installed.code !== 0) throw new Error(`the plugin could not be installed: ${installed.stderr}`);
      await engine.ok('tag', IMAGE_SOURCE, IMAGE);
      let number = 0;
      const dockerRun = (volume: string): Promise<number> => {
        const mount = ['--mount', `type=volume,dst=/data,src=v${++number},${volume}`];
        return seconds('docker', ['run', '--rm', '--network', 'none', ...mount, IMAGE, 'true'], engine.environment);
      };
      const ours = (cid = '') => dockerRun(`volume-driver=${PLUGIN},volume-opt=cid=${cid}`);
      const trial = (contender: string, runs: number, once: () => Promise<number>): Trial => ({
        contender,
        async run() {
          const taken: number[] = [];
          while (taken.length < runs) taken.push(await once());
          return taken.map((value) => ({ workload: WORKLOAD, unit: 's', value }));
        },
      });
      // What a first container on a new engine waits for is none of ours.
      await ours(known);
      return await interleave(
        [
          trial('ipfs-volume, 100 GB', RUNS_A_ROUND, () => ours(known)),
          trial('ipfs-volume, 100 GB, nothing of it here', 1, () => ours(unknown.shift())),
          trial('local driver, empty', RUNS_A_ROUND, () => dockerRun('volume-driver=local')),
        ],
        options,
      );
    } finally {
      await engine[Symbol.asyncDispose]();
      await link.close();
      await generated.close();
    }
  },
};
