/** What a supervisor is given: the connection that it keeps, the state that its daemons use, and how patient it is. */
import type { Logger } from '../../src/base/log.ts';
import type { DaemonOutputs, Patience } from './daemon-process.ts';
import type { RestartPolicy } from './restart-policy.ts';

export interface SupervisedConnection {
  /** An open /dev/fuse, bound to the mount; undefined where the daemon mounts by itself. */
  readonly descriptor: number | undefined;
  /** Names it, unlike every connection before: mount counts and node numbers belong to it. */
  readonly id: string;
  /** Makes some FUSE request, without waiting for it. */
  poke(): void;
  /**
   * Takes what a dead daemon left unanswered for unread again, where the kernel can: whoever waits for it can be killed then,
   * though there is no daemon.
   */
  giveBack(): void;
  /** Detaches the mount and closes the descriptor. */
  detach(): Promise<void>;
}

/** The state directory, as far as it matters who has it open. */
interface HeldState {
  hold(): Promise<void>;
  letGo(): void;
}

export interface SupervisorOptions {
  /** The program and its arguments that start a daemon. */
  readonly daemonCommand: readonly string[];
  /** A directory of our own, 0700, short enough for a socket's path (107 bytes). */
  readonly runDirectory: string;
  readonly connection: SupervisedConnection;
  readonly logger: Logger;
  readonly outputs: DaemonOutputs;
  readonly state?: HeldState;
  readonly policy?: RestartPolicy;
  readonly patience?: Patience;
}

/** Why a supervisor ended: it was told to, or its daemons would not stay up. */
export type SupervisorEnd = 'stopped' | 'gave-up';
