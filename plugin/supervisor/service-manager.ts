/**
 * What a service manager is told: that calls are answered now (sd_notify(3), `Type=notify` of systemd.service(5)). Only then
 * does it start what is ordered behind us, such as the engine, and tell whoever started us that it went well.
 *
 * The message is a datagram to a unix socket, which Node cannot send: systemd's own program for scripts does.
 */
import type { Logger } from '../../src/base/log.ts';
import { runProgram } from '../../src/fuse/run-program.ts';

/** Where nobody waits for it (no NOTIFY_SOCKET), nothing happens. Never rejects. */
export async function notifyReady(logger: Logger): Promise<void> {
  if (!process.env.NOTIFY_SOCKET) return;
  const { ok, said } = await runProgram('systemd-notify', ['--ready']);
  if (!ok)
    logger.error({ said }, 'the service manager cannot be told that we are ready: it takes us for failed after a time');
}
