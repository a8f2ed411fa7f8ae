import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/index.ts";
import { StrikeRegister } from "../../src/rpc/index.ts";
import { ManualClock } from "../support/manual-clock.ts";

const LIMITED = { rememberMs: 1_000, perOwner: 4, total: 6, clockStepMs: 100 };
const id = (number: number): Uint8Array => new Uint8Array(16).fill(number);

describe("the register of request ids", () => {
  it("lets an id through once, and again only when it is forgotten", () => {
    const clock = new ManualClock();
    const register = new StrikeRegister(clock);
    expect(register.strike("a", id(1))).toBe("fresh");
    expect(register.strike("a", id(1))).toBe("known");
    clock.advance(LIMITS.strikeMs);
    expect(register.strike("a", id(1))).toBe("known");
    clock.advance(LIMITS.strikeMs);
    expect(register.strike("a", id(1))).toBe("fresh");
  });

  it("keeps the ids of different owners apart", () => {
    const register = new StrikeRegister(new ManualClock());
    expect(register.strike("a", id(1))).toBe("fresh");
    expect(register.strike("b", id(1))).toBe("fresh");
    expect(register.strike("b", id(1))).toBe("known");
  });

  it("does not notice that the caller uses the id's bytes again", () => {
    const register = new StrikeRegister(new ManualClock());
    const bytes = id(1);
    register.strike("a", bytes);
    bytes.fill(2);
    expect(register.strike("a", id(1))).toBe("known");
    expect(register.strike("a", bytes)).toBe("fresh");
  });

  it("that is full for one owner has room for another, and lets nothing through that it cannot remember", () => {
    const clock = new ManualClock();
    const register = new StrikeRegister(clock, LIMITED);
    for (let number = 0; number < 4; number += 1) expect(register.strike("a", id(number))).toBe("fresh");
    expect(register.strike("a", id(4))).toBe("full");
    expect(register.strike("a", id(0))).toBe("known");
    expect(register.strike("b", id(4))).toBe("fresh");
    expect(register.strike("c", id(4))).toBe("fresh");
    expect(register.strike("d", id(4))).toBe("full");
    expect(register.size).toBe(6);
    clock.advance(1_500);
    expect(register.strike("d", id(4))).toBe("fresh");
    expect(register.size).toBe(1);
  });

  it("lets nothing through while the wall clock is behind what it has shown before", () => {
    const clock = new ManualClock();
    const register = new StrikeRegister(clock, LIMITED);
    register.strike("a", id(1));
    clock.advance(2_000);
    clock.stepWall(-50);
    expect(register.strike("a", id(2))).toBe("fresh");
    clock.stepWall(-1_950);
    // What was seen 2 s ago would pass for new again by the wall clock, and its id is forgotten.
    expect(register.strike("a", id(1))).toBe("full");
    clock.advance(1_950);
    expect(register.strike("a", id(1))).toBe("fresh");
  });

  it("never lets an id through twice within its time, whatever the order, and never outgrows its bounds", () => {
    const steps = fc.array(
      fc.record({ owner: fc.constantFrom("a", "b", "c"), number: fc.nat(9), waitMs: fc.nat(700) }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(steps, (all) => {
        const clock = new ManualClock();
        const register = new StrikeRegister(clock, LIMITED);
        const passedAt = new Map<string, number>();
        for (const { owner, number, waitMs } of all) {
          clock.advance(waitMs);
          const strike = register.strike(owner, id(number));
          const before = passedAt.get(`${owner}${number}`);
          const ageMs = clock.monotonicMs() - (before ?? Number.NEGATIVE_INFINITY);
          const allowed = ageMs <= LIMITED.rememberMs ? ["known"] : ["fresh", "full"];
          if (ageMs <= LIMITED.rememberMs * 1.5) allowed.push("known");
          expect(allowed).toContain(strike);
          if (strike === "fresh") passedAt.set(`${owner}${number}`, clock.monotonicMs());
          expect(register.size).toBeLessThanOrEqual(LIMITED.total);
        }
      }),
    );
  });
});
