import { describe, expect, it } from "vitest";
import { firstOf, GatehouseError } from "../../src/core/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { settled } from "../support/memory-wire.ts";

class Attempt implements AsyncDisposable {
  readonly name: string;
  isDisposed = false;

  constructor(name: string) {
    this.name = name;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.isDisposed = true;
    return Promise.resolve();
  }
}

/** Attempts that the test ends by hand. */
class Attempts {
  readonly clock = new ManualClock();
  readonly begun: string[] = [];
  readonly made = new Map<string, Attempt>();
  readonly signals = new Map<string, AbortSignal>();
  readonly #settle = new Map<string, { resolve(attempt: Attempt): void; reject(error: Error): void }>();

  race(names: readonly string[], signal?: AbortSignal): Promise<Attempt> {
    return firstOf(names, { clock: this.clock, signal }, (name, cancelled) => {
      this.begun.push(name);
      this.signals.set(name, cancelled);
      return new Promise((resolve, reject) => this.#settle.set(name, { resolve, reject }));
    });
  }

  succeed(name: string): void {
    const attempt = new Attempt(name);
    this.made.set(name, attempt);
    this.#settle.get(name)?.resolve(attempt);
  }

  fail(name: string): void {
    this.#settle.get(name)?.reject(new GatehouseError("quic.unreachable", name));
  }
}

describe("attempts, one after another", () => {
  it("begin a quarter of a second apart, and the first that works is kept", async () => {
    const attempts = new Attempts();
    const winner = attempts.race(["six", "four", "more"]);
    expect(attempts.begun).toEqual(["six"]);
    attempts.clock.advance(249);
    expect(attempts.begun).toEqual(["six"]);
    attempts.clock.advance(1);
    expect(attempts.begun).toEqual(["six", "four"]);
    attempts.succeed("four");
    expect((await winner).name).toBe("four");
    expect(attempts.signals.get("six")?.aborted).toBe(true);
    expect(attempts.signals.get("four")?.aborted).toBe(false);
    attempts.clock.advance(1_000);
    expect(attempts.begun).toEqual(["six", "four"]);
  });

  it("go on at once when one fails", async () => {
    const attempts = new Attempts();
    const winner = attempts.race(["six", "four"]);
    attempts.fail("six");
    await settled();
    expect(attempts.begun).toEqual(["six", "four"]);
    attempts.succeed("four");
    expect((await winner).name).toBe("four");
  });

  it("give up with the first one's failure when all fail", async () => {
    const attempts = new Attempts();
    const winner = attempts.race(["six", "four"]);
    attempts.clock.advance(250);
    attempts.fail("four");
    attempts.fail("six");
    await expect(winner).rejects.toMatchObject({ message: "six" });
  });

  it("dispose what comes too late", async () => {
    const attempts = new Attempts();
    const winner = attempts.race(["six", "four"]);
    attempts.clock.advance(250);
    attempts.succeed("six");
    await winner;
    attempts.succeed("four");
    await settled();
    expect([attempts.made.get("six")?.isDisposed, attempts.made.get("four")?.isDisposed]).toEqual([
      false,
      true,
    ]);
  });
});
