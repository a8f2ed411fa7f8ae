/**
 * What systemd is told, by the protocol of sd_notify(3). Node has no datagram sockets of the Unix kind, so that
 * systemd's own `systemd-notify` sends; the unit therefore says `NotifyAccess=all`.
 */
import { execFile } from "node:child_process";
import type { Clock, Logger } from "../core/index.ts";
import type { Io } from "./io.ts";

const TOOL = "systemd-notify";
const TOOL_MS = 5_000;

/** Tells the service manager how this process is; dispose it when the service has ended. */
export class ServiceManager implements Disposable {
  readonly #env: Io["env"];
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** How often it wants a sign of life; undefined when it wants none. */
  readonly #intervalMs: number | undefined;
  #timer: Disposable | undefined;
  /** What it is being told, one thing after the other. */
  #told: Promise<void> = Promise.resolve();
  #isSignWaiting = false;

  private constructor(io: Pick<Io, "env" | "pid">, clock: Clock, logger: Logger) {
    this.#env = io.env;
    this.#clock = clock;
    this.#logger = logger;
    this.#intervalMs = watchdogIntervalMs(io);
  }

  /** Undefined when nobody asked to be told. */
  static of(io: Pick<Io, "env" | "pid">, clock: Clock, logger: Logger): ServiceManager | undefined {
    return (io.env["NOTIFY_SOCKET"] ?? "") === "" ? undefined : new ServiceManager(io, clock, logger);
  }

  /** From here on it also gets its signs of life, from the main thread's own timers: a frozen one sends none. */
  ready(): void {
    this.#tell("READY=1");
    this.#goOn();
  }

  stopping(): void {
    this.#tell("STOPPING=1");
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #goOn(): void {
    if (this.#intervalMs === undefined) return;
    this.#timer = this.#clock.setTimer(this.#intervalMs, () => {
      if (!this.#isSignWaiting) this.#giveSign();
      this.#goOn();
    });
  }

  /** At most one waits: a tool that hangs must not pile them up. */
  #giveSign(): void {
    this.#isSignWaiting = true;
    this.#tell("WATCHDOG=1");
    void this.#told.then(() => {
      this.#isSignWaiting = false;
    });
  }

  #tell(state: string): void {
    this.#told = this.#told.then(() => this.#run(state));
  }

  #run(state: string): Promise<void> {
    const { PATH, NOTIFY_SOCKET } = this.#env;
    return new Promise((resolve) => {
      execFile(TOOL, [state], { env: { PATH, NOTIFY_SOCKET }, timeout: TOOL_MS }, (error) => {
        if (error !== null) this.#logger.warn("service-manager-not-told", { state, error: error.message });
        resolve();
      });
    });
  }
}

/** Half of what it allows, as sd_watchdog_enabled(3) advises. */
function watchdogIntervalMs({ env, pid }: Pick<Io, "env" | "pid">): number | undefined {
  const { WATCHDOG_USEC = "", WATCHDOG_PID = String(pid) } = env;
  if (!/^[1-9][0-9]{0,15}$/.test(WATCHDOG_USEC) || WATCHDOG_PID !== String(pid)) return undefined;
  return Math.max(1, Math.floor(Number(WATCHDOG_USEC) / 2_000));
}
