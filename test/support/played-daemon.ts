/**
 * A daemon as a supervisor sees it, that does what its argument says: `node played-daemon.ts PLAY LOG`. It notes its start
 * in the file LOG, a line each, and pings in LOG.pings, a dot each.
 *
 *   serves     is ready, answers calls and pings, makes room when it is asked to
 *   dies       with last words, before it is ready
 *   aborts     is ready, and ends as by an assertion that failed
 *   killed     is ready, and ends as by somebody's kill -9
 *   stuck      is ready, then answers nothing any more
 *   patient    waits for such a one, and says so
 *   held       touches a state directory that does not answer, and stands still
 *   refused    serves as the first one; after that cannot use the state until the file LOG.mended is there
 *   refuses    likewise from the first one on
 *   restores   takes over a large state in one turn, and says how it goes on
 *   unready    never gets so far
 *   lost       finds that its connection has ended
 *   stubborn   lives, and does not end at SIGTERM or when it is to be replaced
 */
import { appendFileSync, existsSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';

const [play = '', log = ''] = process.argv.slice(2);
const { IPFS_VOLUME_DAEMON_SOCKET: socket, IPFS_VOLUME_TAKE_OVER: takeOver } = process.env;
const { IPFS_VOLUME_LAST_DEATH: lastDeath, IPFS_VOLUME_RESTARTS: restarts } = process.env;
appendFileSync(log, `${JSON.stringify({ atMs: Date.now(), pid: process.pid, takeOver, lastDeath })}\n`);

const tell = (type: string) => process.send?.({ type });
const wait = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const isRefused = play === 'refuses' || (play === 'refused' && restarts !== '0' && !existsSync(`${log}.mended`));
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));

if (play === 'dies') {
  writeSync(process.stderr.fd, 'these are my last words\n');
  process.exit(3);
} else if (play === 'lost') {
  tell('lost');
  process.once('disconnect', () => undefined);
  setImmediate(() => process.exit(0));
} else if (play === 'held') {
  process.send?.({ type: 'opening', directory: '/held', silentMs: 0 }, () => wait(Number.POSITIVE_INFINITY));
} else if (play === 'patient') {
  setInterval(() => process.send?.({ type: 'opening', directory: '/held', silentMs: process.uptime() * 1000 }), 100);
} else if (isRefused) {
  process.send?.({ type: 'refused', why: 'the disk is gone' });
  process.kill(process.pid, 'SIGKILL');
} else if (play === 'unready') {
  setInterval(() => undefined, 1000);
} else {
  for (let times = 0; play === 'restores' && times < 8; times++) {
    tell('restoring');
    wait(800);
  }
  if (play === 'stubborn') process.on('SIGTERM', () => undefined);
  process.on('message', ({ type }: { type: string }) => {
    if (play === 'stuck') return;
    if (type === 'ping') {
      tell('pong');
      appendFileSync(`${log}.pings`, '.');
    } else if (play !== 'stubborn') {
      tell('draining');
      process.exit(0);
    }
  });
  createServer((_request, response) => response.end(String(process.pid))).listen(socket, () => {
    tell('ready');
    if (play === 'aborts') process.abort();
    if (play === 'killed') process.kill(process.pid, 'SIGKILL');
  });
}
