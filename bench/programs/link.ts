/**
 * `link.ts HOST PORT ROUND_TRIP_MS BITS_PER_SECOND`: a TCP relay with the delay and the rate of a network link. Prints the
 * port on which it listens; ends with its stdin. Each line on stdin is answered with a line of the bytes that were
 * carried towards the reader so far.
 *
 * All connections share the link, as packets do: each direction has one clock, on which every chunk takes its length at
 * the link's rate, and it leaves half a round trip later. What is under way is bounded by a buffer of one round trip's
 * worth of bytes and 256 KiB (a switch has little more); beyond it the sender is held back, as a full window would.
 */
import { connect, createServer, type Socket } from 'node:net';

const [host = '127.0.0.1', port = '', roundTripText = '', rateText = ''] = process.argv.slice(2);
const oneWayMs = Number(roundTripText) / 2;
const bytesPerMs = Number(rateText) / 8 / 1000;
const bufferBytes = Math.ceil(bytesPerMs * oneWayMs * 2) + 256 * 1024;
/** A timer is up to a millisecond late, which a short link cannot hide: such a one polls instead, and has a core busy. */
const polls = oneWayMs < 2;

interface Packet {
  readonly to: Socket;
  readonly from: Socket;
  /** Null is the end of the stream. */
  readonly bytes: Buffer | null;
  readonly dueMs: number;
}

/** One direction of the link. */
class Direction {
  #queue: Packet[] = [];
  #head = 0;
  #queuedBytes = 0;
  /** Carried so far. */
  bytes = 0;
  #freeAtMs = 0;
  #armed = false;
  readonly #heldBack = new Set<Socket>();

  carry(from: Socket, to: Socket, bytes: Buffer | null): void {
    const now = performance.now();
    this.#freeAtMs = Math.max(this.#freeAtMs, now) + (bytes?.length ?? 0) / bytesPerMs;
    this.#queue.push({ from, to, bytes, dueMs: this.#freeAtMs + oneWayMs });
    this.#queuedBytes += bytes?.length ?? 0;
    if (this.#queuedBytes > bufferBytes) {
      from.pause();
      this.#heldBack.add(from);
    }
    this.#arm(now);
  }

  #arm(now: number): void {
    const first = this.#queue[this.#head];
    if (!first || this.#armed) return;
    this.#armed = true;
    if (polls) setImmediate(this.#deliver);
    else setTimeout(this.#deliver, Math.max(0, first.dueMs - now));
  }

  readonly #deliver = (): void => {
    this.#armed = false;
    const now = performance.now();
    for (let packet = this.#queue[this.#head]; packet && packet.dueMs <= now; packet = this.#queue[this.#head]) {
      this.#head++;
      this.#queuedBytes -= packet.bytes?.length ?? 0;
      this.bytes += packet.bytes?.length ?? 0;
      if (packet.to.destroyed) continue;
      if (packet.bytes) packet.to.write(packet.bytes);
      else packet.to.end();
    }
    if (this.#head > 1024) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    if (this.#queuedBytes <= bufferBytes) {
      for (const socket of this.#heldBack) socket.resume();
      this.#heldBack.clear();
    }
    this.#arm(now);
  };
}

const up = new Direction();
const down = new Direction();

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const far = connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true });
  join(near, far, up);
  join(far, near, down);
});

function join(from: Socket, to: Socket, direction: Direction): void {
  from.on('data', (bytes) => direction.carry(from, to, bytes));
  from.on('end', () => direction.carry(from, to, null));
  from.on('error', () => to.destroy());
  from.on('close', () => {
    if (from.errored) to.destroy();
  });
}

server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  console.log(typeof address === 'object' ? address?.port : '');
});
process.stdin.on('data', () => console.log(down.bytes)).on('end', () => process.exit(0));
