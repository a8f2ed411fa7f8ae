import { describe, expect, it } from "vitest";
import { isGatehouseError, LIMITS } from "../../src/core/index.ts";
import { UnsealAttempts } from "../../src/daemon/unseal-attempts.ts";
import { ManualClock } from "../support/manual-clock.ts";

/** Whether an attempt is let through; it is a wrong one then. */
function tried(attempts: UnsealAttempts): boolean {
  try {
    attempts.check();
  } catch (failure) {
    if (isGatehouseError(failure, "vault.unseal-limited")) return false;
    throw failure;
  }
  attempts.failed();
  return true;
}

describe("wrong keys of a sealed vault", () => {
  it("are taken a few in a row, then one a pause, and are all counted", () => {
    const clock = new ManualClock();
    const attempts = new UnsealAttempts(clock);
    for (let count = 0; count < LIMITS.unsealAttempts; count += 1) expect(tried(attempts)).toBe(true);
    for (let pause = 0; pause < 3; pause += 1) {
      expect(tried(attempts)).toBe(false);
      clock.advance(LIMITS.unsealPauseMs - 1);
      expect(tried(attempts)).toBe(false);
      clock.advance(1);
      expect(tried(attempts)).toBe(true);
    }
    expect(attempts.wrong).toMatchObject({ count: LIMITS.unsealAttempts + 3 });
  });

  it("are forgotten when the vault is open", () => {
    const attempts = new UnsealAttempts(new ManualClock());
    while (tried(attempts));
    attempts.clear();
    expect(attempts.wrong).toBe(undefined);
    expect(tried(attempts)).toBe(true);
  });
});
