/**
 * Ctrl-C and SIGTERM as an AbortSignal, for the commands that have something to undo.
 *
 * Handlers are installed only when a command asks for the signal, and once: the second Ctrl-C kills as it always does.
 */
import { CodedError } from '../base/errors.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

export interface Interrupt {
  /** The signal; its reason is ABORTED. The first call installs the handlers. */
  signal(): AbortSignal;
  /** Takes the handlers away. */
  dispose(): void;
}

export function interruptSignal(): Interrupt {
  const controller = new AbortController();
  let isInstalled = false;
  const dispose = () => {
    for (const signal of SIGNALS) process.removeListener(signal, abort);
  };
  const abort = () => {
    dispose();
    controller.abort(new CodedError('ABORTED', 'interrupted'));
  };
  const signal = () => {
    if (!isInstalled) for (const name of SIGNALS) process.on(name, abort);
    isInstalled = true;
    return controller.signal;
  };
  return { signal, dispose };
}
