/**
 * A TCP relay on loopback that treats what goes through it as a bad network would: slows answers down, cuts them off, or
 * leads nowhere. It keeps its port while what is behind it comes and goes.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import { setTimeout as after } from 'node:timers/promises';

export interface TcpRelay extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** Connections made so far. */
  readonly connections: number;
  /** Where new connections lead from now on. */
  lead(port: number): void;
  /** What happens to answers from now on, on new connections; those that are open are cut. */
  behave(answers: Answers): void;
}

/** `bytesPerSecond` each connection; cut off once `bytes` went through. */
type Answers = 'pass' | { readonly bytesPerSecond: number } | { readonly cutAfterBytes: number };

/** How often a slowed answer moves on. */
const TICK_MS = 50;

export async function startTcpRelay(port: number): Promise<TcpRelay> {
  let target = port;
  let answers: Answers = 'pass';
  let connections = 0;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    connections++;
    const far = connect(target, '127.0.0.1');
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    if (answers === 'pass') far.pipe(near);
    else
      far.pipe('cutAfterBytes' in answers ? cut(near, answers.cutAfterBytes) : slow(answers.bytesPerSecond)).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: listening } = server.address() as AddressInfo;
  const cutAll = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    port: listening,
    url: `http://127.0.0.1:${listening}`,
    get connections() {
      return connections;
    },
    lead(next) {
      target = next;
    },
    behave(next) {
      answers = next;
      cutAll();
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      cutAll();
      await closed;
    },
  };
}

function cut(near: Socket, afterBytes: number): Transform {
  let left = afterBytes;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      left -= chunk.length;
      if (left >= 0) return done(null, chunk);
      // What goes before the cut arrives.
      near.end(chunk.subarray(0, chunk.length + left));
      return undefined;
    },
  });
}

function slow(bytesPerSecond: number): Transform {
  const pieceBytes = Math.ceil((bytesPerSecond * TICK_MS) / 1000);
  return new Transform({
    async transform(chunk: Buffer, _encoding, done) {
      for (let from = 0; from < chunk.length; from += pieceBytes) {
        this.push(chunk.subarray(from, from + pieceBytes));
        await after(TICK_MS);
      }
      done();
    },
  });
}
