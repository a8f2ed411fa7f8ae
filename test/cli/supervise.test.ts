import { describe, expect, it } from "vitest";
import { type Ending, type Life, type SupervisedProgram, supervise } from "../../src/cli/supervise.ts";
import { EXIT, LIMITS, silentLogger } from "../../src/core/index.ts";
import { ManualClock } from "../support/manual-clock.ts";

const KILLED: Ending = { kind: "killed", signal: "SIGKILL" };
const exited = (exitCode: number): Ending => ({ kind: "exited", exitCode });

/** A program that the test ends. */
class Program implements SupervisedProgram {
  readonly life: Life;
  isReady = false;
  readonly ended: Promise<Ending>;
  end: (ending: Ending) => void = () => undefined;
  readonly asked: string[] = [];

  constructor(life: Life) {
    this.life = life;
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
  }

  stop(): void {
    this.asked.push("stop");
  }

  kill(): void {
    this.asked.push("kill");
    this.end(KILLED);
  }
}

/** A supervisor over time that the test moves. */
class Supervised {
  readonly clock = new ManualClock();
  readonly programs: Program[] = [];
  readonly stop = new AbortController();
  /** Settles with the supervisor's exit code. */
  readonly over: Promise<number>;

  constructor() {
    const { clock } = this;
    const start = (life: Life): Program => {
      this.programs.push(new Program(life));
      return this.program;
    };
    this.over = supervise({ start, stop: this.stop.signal, clock, logger: silentLogger });
  }

  get program(): Program {
    const newest = this.programs.at(-1);
    if (newest === undefined) throw new Error("nothing was started");
    return newest;
  }

  /** Lets the program live so long, ready, and end; answers how long its successor is waited for. */
  async restartAfter(livedMs: number, ending: Ending = KILLED): Promise<number> {
    const before = this.programs.length;
    this.program.isReady = true;
    this.clock.advance(livedMs);
    this.program.end(ending);
    await settled();
    for (let waitedMs = 0; waitedMs <= 120_000; waitedMs += 100) {
      if (this.programs.length > before) return waitedMs;
      this.clock.advance(100);
      await settled();
    }
    throw new Error("it was not started again");
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a supervisor", () => {
  it("waits twice as long after each end, up to a bound, and little again after a minute of health", async () => {
    const supervised = new Supervised();
    const delays: number[] = [];
    for (let life = 0; life < 9; life += 1) delays.push(await supervised.restartAfter(1_000));
    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    expect(await supervised.restartAfter(LIMITS.restartHealthyMs)).toBe(500);
  });

  it("asks for what is wanted once until it has been ready, and not again after", async () => {
    const supervised = new Supervised();
    supervised.program.end(KILLED);
    await settled();
    supervised.clock.advance(500);
    await settled();
    await supervised.restartAfter(0);
    expect(supervised.programs.map(({ life }) => life)).toEqual(["first", "first", "again"]);
  });

  it("starts what broke after it was ready again, and not what never got that far", async () => {
    const supervised = new Supervised();
    await supervised.restartAfter(0, exited(EXIT.unexpected));
    const hopeless = new Supervised();
    hopeless.program.end(exited(EXIT.unexpected));
    expect(await hopeless.over).toBe(EXIT.unexpected);
  });

  it.each([
    ["done", EXIT.done],
    ["wrong usage", EXIT.usage],
    ["a home in use", EXIT.conflict],
    ["a sealed vault", EXIT.sealed],
    ["damage", EXIT.integrity],
  ])("ends with a program that ended by %s, and says the same", async (_why, exitCode) => {
    const supervised = new Supervised();
    await supervised.restartAfter(0);
    supervised.program.isReady = true;
    supervised.program.end(exited(exitCode));
    expect(await supervised.over).toBe(exitCode);
    expect(supervised.programs).toHaveLength(2);
  });

  it("stops its program in order, and starts no other", async () => {
    const supervised = new Supervised();
    supervised.program.isReady = true;
    supervised.stop.abort("SIGTERM");
    expect(supervised.program.asked).toEqual(["stop"]);
    supervised.program.end(exited(EXIT.done));
    expect(await supervised.over).toBe(EXIT.done);
    expect(supervised.programs).toHaveLength(1);
  });

  it("ends a program that does not stop when it should", async () => {
    const supervised = new Supervised();
    supervised.stop.abort("SIGTERM");
    supervised.clock.advance(LIMITS.superviseStopMs - 1);
    expect(supervised.program.asked).toEqual(["stop"]);
    supervised.clock.advance(1);
    expect(supervised.program.asked).toEqual(["stop", "kill"]);
    expect(await supervised.over).toBe(EXIT.unexpected);
  });

  it("can be stopped while it waits", async () => {
    const supervised = new Supervised();
    supervised.program.end(KILLED);
    await settled();
    supervised.stop.abort("SIGINT");
    expect(await supervised.over).toBe(EXIT.done);
    expect(supervised.programs).toHaveLength(1);
  });
});
