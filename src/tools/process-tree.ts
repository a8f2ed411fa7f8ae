import { kill, pid as ownPid } from "node:process";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { LIMITS } from "../core/index.ts";
import { CALL_VARIABLE } from "./parse-environment.ts";
import {
  hasOpen,
  lookInEnvironment,
  newestProcessId,
  openFileOf,
  ownerOf,
  type ProcessStatus,
  processIds,
  statusOf,
} from "./process-table.ts";

const REAP_PAUSE_MS = 5;
const DESCRIPTORS_MAX = 64;
/** A fifth of a millisecond when nobody starts processes, up to ten while somebody does. */
const STRIKES = 64;
const QUIET_STRIKES = 8;
/** Threads have such numbers too, and a program may start with a dozen of them. */
const STRIKE_WIDTH = 16;
/** So many searches in a row that met nobody, though processes are started all the time or could not be told. */
const CLEAN_ROUNDS = 4;

/**
 * Everything that a tool started, found by what stays with it: its process group and session, whose child it is, the
 * call's id in its environment, and the streams that we gave it. A process that has left the first two, whose parents
 * are gone, that was started with another environment and has closed the streams is not found; a sandbox holds that one
 * too.
 *
 * Looks into /proc; without one (it is Linux's), it knows the process group only.
 */
export class ProcessTree {
  readonly #leader: number;
  readonly #mark: string;
  readonly #streams: ReadonlySet<string>;
  readonly #owner: number | undefined;
  readonly #startTicks: number;
  /** Pid to start, of all that were ever found. */
  readonly #known = new Map<number, number>();
  /** Whether all that were looked at last could be told. */
  #isSure = true;

  /** Of a leader that was started just now, in a session of its own, with `callId` in its environment. */
  constructor(leader: number, callId: string) {
    this.#leader = leader;
    this.#mark = `${CALL_VARIABLE}=${callId}`;
    this.#owner = ownerOf(leader);
    this.#startTicks = statusOf(leader)?.startTicks ?? 0;
    const files = [1, 2].flatMap((descriptor) => openFileOf(leader, descriptor) ?? []);
    // None when it has ended already. Others may have open what is no pipe, such as /dev/null, if it has turned to that.
    this.#streams = new Set(files.filter((file) => file.startsWith("socket:") || file.startsWith("pipe:")));
  }

  /** Pids of those that run, remembered as its own from now on. */
  async find(): Promise<readonly number[]> {
    this.#isSure = true;
    const recent = await this.#recent();
    const found = new Set(recent.filter((status) => this.#isMarked(status)).map(({ pid }) => pid));
    for (let count = -1; count !== found.size; ) {
      count = found.size;
      for (const { pid, parent } of recent) if (found.has(parent)) found.add(pid);
    }
    for (const { pid, startTicks } of recent) if (found.has(pid)) this.#known.set(pid, startTicks);
    return [...found];
  }

  /** To the process group, which may be gone. */
  signalGroup(signal: NodeJS.Signals): void {
    send(-this.#leader, signal);
  }

  /** To each that runs but for the leader; answers how many those are. */
  async signalOthers(signal: NodeJS.Signals): Promise<number> {
    const others = (await this.find()).filter((pid) => pid !== this.#leader);
    for (const pid of others) send(pid, signal);
    return others.length;
  }

  /** Kills until nobody is left, and answers how many are nevertheless. */
  async kill(): Promise<number> {
    this.signalGroup("SIGKILL");
    let left: readonly number[] = [];
    for (let [round, cleanCount] = [0, 0]; round < LIMITS.toolReapRounds; round += 1) {
      left = await this.find();
      for (const pid of left) send(pid, "SIGKILL");
      const sight = this.#strike();
      cleanCount = left.length > 0 || sight === "met" ? 0 : cleanCount + 1;
      if (cleanCount > 0 && sight === "quiet" && this.#isSure) return 0;
      if (cleanCount === CLEAN_ROUNDS) return 0;
      // The kernel's time, which no clock of ours moves.
      await pause(REAP_PAUSE_MS);
    }
    return left.length;
  }

  /**
   * Kills the newest at first sight, as long as there are new ones: what has a child and ends in less time than a search
   * takes is met nowhere else. `busy` while somebody, who may be others, goes on starting processes.
   */
  #strike(): "met" | "quiet" | "busy" {
    let [hasMet, last, quietCount] = [false, 0, 0];
    for (let attempt = 0; attempt < STRIKES && quietCount < QUIET_STRIKES; attempt += 1) {
      const newest = newestProcessId();
      quietCount = newest === last ? quietCount + 1 : 0;
      if (newest !== last && this.#strikeAt(newest)) hasMet = true;
      last = newest;
    }
    if (hasMet) return "met";
    return quietCount < QUIET_STRIKES ? "busy" : "quiet";
  }

  /** In a hurry, so by its environment alone. */
  #strikeAt(newest: number): boolean {
    let hasMet = false;
    for (let pid = newest; pid > newest - STRIKE_WIDTH; pid -= 1) {
      if (lookInEnvironment(pid, this.#mark) !== "there") continue;
      send(pid, "SIGKILL");
      hasMet = true;
    }
    return hasMet;
  }

  async #recent(): Promise<readonly ProcessStatus[]> {
    const recent: ProcessStatus[] = [];
    for (const [index, pid] of processIds().entries()) {
      if (index % LIMITS.toolScanBatch === LIMITS.toolScanBatch - 1) await turn();
      const status = this.#statusOfRecent(pid);
      if (status !== undefined) recent.push(status);
    }
    return recent;
  }

  /** Of one that is no older than the leader, and not dead. */
  #statusOfRecent(pid: number): ProcessStatus | undefined {
    const status = statusOf(pid);
    const isNone = status === undefined || status.isDead || pid === ownPid;
    return isNone || status.startTicks < this.#startTicks ? undefined : status;
  }

  #isMarked({ pid, group, session, startTicks }: ProcessStatus): boolean {
    if (group === this.#leader || session === this.#leader || this.#known.get(pid) === startTicks)
      return true;
    const look = lookInEnvironment(pid, this.#mark);
    if (look === "there") return true;
    // A stream can be handed to anybody; another user's process is not to be blamed for having got it.
    if (ownerOf(pid) !== this.#owner) return false;
    this.#isSure &&= look === "absent";
    return hasOpen(pid, this.#streams, DESCRIPTORS_MAX);
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    kill(pid, signal);
  } catch {
    // It is gone, or may not be signalled.
  }
}
