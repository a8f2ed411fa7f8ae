import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Place } from "../contender.ts";

const EMULATOR = fileURLToPath(new URL("emulator.py", import.meta.url));

/** Why this machine or this user cannot make a link; the message says what to do. */
export class LinkUnavailable extends Error {}

/** What becomes of every IP packet, in both directions alike. */
export interface LinkShape {
  /** Half of it each way. */
  readonly rttMs: number;
  /** Share from 0 to 1 of the packets of each direction that is lost, independently of each other. */
  readonly loss: number;
  /** The same seed loses the same ones of a sequence of packets. */
  readonly seed: string;
}

/** Packets of both directions since the link got its shape, and how well the emulator kept to it. */
export interface LinkCounters {
  readonly offered: number;
  readonly lost: number;
  /** Not taken: the bounded queue was full. */
  readonly overflowed: number;
  /** Larger than the MTU: there must be none. */
  readonly oversized: number;
  /** Delivered more than 1 ms after their time. */
  readonly lateOver1Ms: number;
  readonly latestMs: number;
  /** Not taken by the receiving kernel. */
  readonly refused: number;
  /** Dropped by the sending kernel before the emulator could read them. */
  readonly droppedByKernel: number;
  /** Of one core. */
  readonly cpuShare: number;
}

/**
 * Two network namespaces of this run's own and the only way between them: TUN devices, MTU 1500, whose packets a process
 * delays and drops. No limit of bandwidth, at most 10 000 packets waiting each way. Needs root, Python 3 and iproute2.
 * However this process ends, the emulator notices and removes the namespaces with whatever still runs in them.
 */
export class EmulatedLink implements AsyncDisposable {
  readonly near: Required<Place>;
  readonly far: Required<Place>;
  /** Of both namespaces' TCP. */
  readonly tcpCongestionControl: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, hello: Hello) {
    this.#child = child;
    this.#lines = lines;
    this.near = hello.near;
    this.far = hello.far;
    this.tcpCongestionControl = hello.tcpCongestionControl;
  }

  /** Without loss and delay at first. @throws LinkUnavailable */
  static async open(): Promise<EmulatedLink> {
    requireMeans();
    const child = spawn("python3", ["-B", EMULATOR, `gh${process.pid}`], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(child, "spawn");
    // One that is gone closes the pipe; the missing answer is what tells.
    child.stdin.on("error", () => undefined);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const hello = await next(lines);
    if (typeof hello["failure"] === "string") throw new LinkUnavailable(`no link: ${hello["failure"]}`);
    return new EmulatedLink(child, lines, parseHello(hello));
  }

  /** Drops what is still under way, and begins counting anew. */
  async shape({ rttMs, loss, seed }: LinkShape): Promise<void> {
    await this.#ask({ delayMs: rttMs / 2, loss, seed });
  }

  async counters(): Promise<LinkCounters> {
    return (await this.#ask({})) as unknown as LinkCounters;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.stdin?.end();
    await gone;
  }

  async #ask(order: object): Promise<Readonly<Record<string, unknown>>> {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
    const answer = await next(this.#lines);
    if (typeof answer["failure"] === "string") throw new Error(`the link broke: ${answer["failure"]}`);
    return answer;
  }
}

interface Hello {
  readonly near: Required<Place>;
  readonly far: Required<Place>;
  readonly tcpCongestionControl: string;
}

function requireMeans(): void {
  const lacks = [
    process.getuid?.() === 0 ? undefined : "root (run it with sudo)",
    existsSync("/dev/net/tun") ? undefined : "/dev/net/tun (modprobe tun)",
    runs("ip", ["netns", "list"]) ? undefined : "`ip netns` (the package iproute2)",
    runs("python3", ["--version"]) ? undefined : "python3",
  ].filter((lack) => lack !== undefined);
  if (lacks.length > 0) throw new LinkUnavailable(`an emulated link needs ${lacks.join(", ")}`);
}

function runs(command: string, args: readonly string[]): boolean {
  return spawnSync(command, [...args], { stdio: "ignore" }).status === 0;
}

async function next(lines: AsyncIterator<string>): Promise<Readonly<Record<string, unknown>>> {
  const { value, done } = await lines.next();
  if (done === true) return { failure: "the emulator ended" };
  return JSON.parse(value) as Readonly<Record<string, unknown>>;
}

function parseHello({ ends, tcpCongestionControl }: Readonly<Record<string, unknown>>): Hello {
  const [near, far] = (ends as readonly { namespace: string; address: string }[]).map(
    ({ namespace, address }) => ({ namespace, host: address }),
  );
  if (near === undefined || far === undefined || typeof tcpCongestionControl !== "string") {
    throw new Error("the emulator introduced itself in another way");
  }
  return { near, far, tcpCongestionControl };
}
