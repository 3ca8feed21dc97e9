/**
 * Network links for the benchmarks: `programs/link.ts` in a process of its own, between a reader and its origin. Each is
 * measured before it is used, and the measured values are printed with the results: a relay that is wrong shows.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { end } from './child.ts';

export interface LinkSpeed {
  readonly roundTripMs: number;
  readonly bitsPerSecond: number;
}

/** The points at which goals are stated. */
export const LINKS = {
  lan: { roundTripMs: 1, bitsPerSecond: 1e9 },
  far: { roundTripMs: 50, bitsPerSecond: 1e9 },
  home: { roundTripMs: 50, bitsPerSecond: 100e6 },
  mobile: { roundTripMs: 100, bitsPerSecond: 25e6 },
} as const satisfies Record<string, LinkSpeed>;

export interface Link {
  readonly port: number;
  readonly speed: LinkSpeed;
  /** Bytes carried towards the reader so far. */
  carriedBytes(): Promise<number>;
  close(): Promise<void>;
}

const PROGRAM = new URL('./programs/link.ts', import.meta.url).pathname;

/** A link to `port` on loopback. */
export async function openLink(port: number, speed: LinkSpeed): Promise<Link> {
  const args = [PROGRAM, '127.0.0.1', String(port), String(speed.roundTripMs), String(speed.bitsPerSecond)];
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error('the link has no output');
  const line = async (): Promise<number> => Number(String((await once(stdout, 'data'))[0]));
  return {
    port: await line(),
    speed,
    carriedBytes: () => {
      stdin.write('\n');
      return line();
    },
    close: () => end(child),
  };
}

/** `50.3 ms, 998 Mbit/s`. */
export function linkText({ roundTripMs, bitsPerSecond }: LinkSpeed): string {
  return `${roundTripMs.toPrecision(3)} ms, ${(bitsPerSecond / 1e6).toPrecision(3)} Mbit/s`;
}

/** What a link gives in truth: the median round trip of 20 pings, and the rate of two seconds' worth of bytes. */
export async function measureLink(speed: LinkSpeed): Promise<LinkSpeed> {
  const payload = Buffer.alloc(Math.ceil((speed.bitsPerSecond / 8) * 2));
  // An origin that echoes a single byte, and answers a request for the payload.
  const origin = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (request) => socket.write(request.includes('*') ? payload : request));
  });
  origin.listen(0, '127.0.0.1');
  await once(origin, 'listening');
  const link = await openLink((origin.address() as { port: number }).port, speed);
  const socket = connect({ port: link.port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  try {
    const pings: number[] = [];
    for (let index = 0; index < 20; index++) pings.push(await timeUntil(socket, '.', 1));
    const roundTripMs = pings.sort((a, b) => a - b)[10] ?? Number.NaN;
    const takenMs = (await timeUntil(socket, '*', payload.length)) - roundTripMs;
    return { roundTripMs, bitsPerSecond: (payload.length * 8 * 1000) / takenMs };
  } finally {
    socket.destroy();
    await link.close();
    origin.close();
  }
}

async function timeUntil(socket: Socket, request: string, replyBytes: number): Promise<number> {
  const start = performance.now();
  socket.write(request);
  for (let received = 0; received < replyBytes; ) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    received += chunk.length;
  }
  return performance.now() - start;
}
