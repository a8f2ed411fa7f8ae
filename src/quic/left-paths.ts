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
}

/**
 * Brings back what was lost on paths that are not in use any more. The library retransmits two packets of such a path and
 * waits for ever to hear of the others, because nothing later is sent on it that could be acknowledged. So each one is
 * challenged once more (RFC 9000 §8.2.1), and what the library makes of that leaves by the path in use: its acknowledgement
 * tells the library what has not come. Only the address that the library has validated gets any of it.
 */
export class LeftPaths implements Disposable {
  readonly #options: LeftPathsOptions;
  readonly #timers = new Set<Disposable>();
  #paths: Left[] = [];
  #isDue = false;

  constructor(options: LeftPathsOptions, first: PathEnds) {
    this.#options = options;
    this.seen(first);
  }

  /** A path that packets may leave by from now on. */
  seen({ local, remote }: PathEnds): void {
    this.#paths.push({ local, remote, atMs: this.#options.clock.monotonicMs(), isProbed: false });
    if (this.#paths.length > KEPT_MAX) this.#paths.shift();
  }

  /** `active` is validated and in use: all others are left. */
  movedTo(active: PathEnds): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#paths = this.#paths.filter((path) => nowMs - path.atMs < KEPT_MS || isSame(path, active));
    for (const path of this.#paths) {
      if (isSame(path, active)) path.isProbed = false;
      else if (!path.isProbed) this.#probeInTime(path);
    }
  }

  /** The library's own timers may have something for a left path, too. */
  timerFired(): void {
    this.#isDue = this.#paths.length > 1;
  }

  /** With every flush. `active` is undefined while the address in use is not validated. */
  flush(active: () => PathEnds | undefined): void {
    if (!this.#isDue) return;
    const ends = active();
    if (ends === undefined) return;
    this.#isDue = false;
    for (const path of this.#paths) {
      if (path.isProbed && !isSame(path, ends)) this.#options.writer.flushLeft(path, ends);
    }
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#timers.clear();
  }

  #probeInTime(path: Left): void {
    path.isProbed = true;
    for (const delayMs of PROBES_MS) {
      const timer = this.#options.clock.setTimer(delayMs, () => {
        this.#timers.delete(timer);
        this.#probe(path);
      });
      this.#timers.add(timer);
    }
  }

  #probe({ local, remote }: PathEnds): void {
    try {
      this.#options.native.probePath(local, remote);
    } catch {
      // The library has let go of the path, or the connection is closing.
    }
    this.#isDue = true;
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
