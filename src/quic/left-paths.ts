import type { Clock } from "../core/index.ts";
import type { SocketAddress } from "./address.ts";
import type { NativeConnection } from "./native.ts";
import type { PacketWriter } from "./packet-writer.ts";

/** The two ends of a path. */
export interface PathEnds {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
}

/** When a path that was left is probed: at once, and again in case a probe is lost, as all are while a NAT is at a loss. */
const PROBES_MS = [0, 60, 250, 600, 1_500, 4_000] as const;
/** A path that is left again within so long is probed as it was going to be: a peer may hop thousands of times a second. */
const RESTART_MS = 60;
/** What is still unanswered by then is left to whoever asked. */
const KEPT_MS = 20_000;
/** The library has no more paths than that. */
const KEPT_MAX = 64;

export interface LeftPathsOptions {
  readonly native: NativeConnection;
  readonly writer: PacketWriter;
  readonly clock: Clock;
  /** Asks for a flush of the connection. */
  readonly schedule: () => void;
}

interface Left extends PathEnds {
  readonly atMs: number;
  isProbed: boolean;
  /** When its probes were timed last. */
  timedMs: number;
  timers: Disposable[];
}

/**
 * Brings back what was lost on paths that are not in use any more. The library retransmits two packets of such a path and
 * waits for ever to hear of the others, because nothing later is sent on it that could be acknowledged. So each one is
 * challenged once more (RFC 9000 §8.2.1), and what the library makes of that leaves by the path in use: its acknowledgement
 * tells the library what has not come. Only the address that the library has validated gets any of it.
 */
export class LeftPaths implements Disposable {
  readonly #options: LeftPathsOptions;
  #paths: Left[] = [];
  /** For which the library may have something. */
  readonly #due = new Set<Left>();

  constructor(options: LeftPathsOptions, first: PathEnds) {
    this.#options = options;
    this.seen(first);
  }

  /** A path that packets may leave by from now on. */
  seen({ local, remote }: PathEnds): void {
    const atMs = this.#options.clock.monotonicMs();
    this.#paths.push({ local, remote, atMs, isProbed: false, timedMs: Number.NEGATIVE_INFINITY, timers: [] });
    if (this.#paths.length > KEPT_MAX) this.#forget(this.#paths.shift());
  }

  /** `active` is validated and in use: all others are left. */
  movedTo(active: PathEnds): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#paths = this.#paths.filter((path) => {
      const isKept = nowMs - path.atMs < KEPT_MS || isSame(path, active);
      if (!isKept) this.#forget(path);
      return isKept;
    });
    for (const path of this.#paths) {
      if (isSame(path, active)) path.isProbed = false;
      else if (!path.isProbed) this.#probeInTime(path, nowMs);
    }
  }

  /** The library's own timers may have something for a left path, too. */
  timerFired(): void {
    for (const path of this.#paths) if (path.isProbed) this.#due.add(path);
  }

  /** With every flush. `active` is undefined while the address in use is not validated. */
  flush(active: () => PathEnds | undefined): void {
    if (this.#due.size === 0) return;
    const ends = active();
    if (ends === undefined) return;
    for (const path of this.#due) {
      if (path.isProbed && !isSame(path, ends)) this.#options.writer.flushLeft(path, ends);
    }
    this.#due.clear();
  }

  [Symbol.dispose](): void {
    for (const path of this.#paths) this.#forget(path);
  }

  #forget(path: Left | undefined): void {
    for (const timer of path?.timers.splice(0) ?? []) timer[Symbol.dispose]();
    if (path !== undefined) this.#due.delete(path);
  }

  #probeInTime(path: Left, nowMs: number): void {
    path.isProbed = true;
    if (nowMs - path.timedMs < RESTART_MS) return;
    path.timedMs = nowMs;
    this.#forget(path);
    path.timers = PROBES_MS.map((delayMs) => this.#options.clock.setTimer(delayMs, () => this.#probe(path)));
  }

  #probe(path: Left): void {
    // In use again: what it lacks comes back by itself.
    if (!path.isProbed) return;
    try {
      this.#options.native.probePath(path.local, path.remote);
    } catch {
      // The library has let go of the path, or the connection is closing.
    }
    this.#due.add(path);
    this.#options.schedule();
  }
}

function isSame(a: PathEnds, b: PathEnds): boolean {
  return (
    a.remote.port === b.remote.port &&
    a.local.port === b.local.port &&
    a.remote.host === b.remote.host &&
    a.local.host === b.local.host
  );
}
