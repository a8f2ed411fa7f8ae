import { describe, expect, it } from "vitest";
import { type GatehouseError, LIMITS, unixMs } from "../../src/core/index.ts";
import { type PairingGrant, PairingLimiter } from "../../src/pairing/index.ts";
import { times } from "../support/effort.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import {
  ALICE,
  failureOf,
  GRANT,
  introduce,
  MALLORY,
  MemoryLimiterStore,
  openWindow,
  refusalOf,
} from "./windows.ts";

describe("a pairing window", () => {
  it("pairs one joiner who proves the code, tells who came, and is over for everybody else", async () => {
    const { window, events } = await openWindow();
    const attempt = window.begin("code", ALICE);
    expect(window.state).toBe("busy");
    expect(new TextDecoder().decode(attempt.secret)).toBe(window.code);
    expect(await introduce(attempt)).toBeUndefined();
    expect(await attempt.enroll(() => Promise.resolve(GRANT))).toBe(GRANT);
    attempt.end();
    expect(window.state).toBe("paired");
    expect(refusalOf(() => window.begin("code", MALLORY))).toBe("pairing.closed");
    expect(refusalOf(() => window.begin("uri", MALLORY))).toBe("pairing.closed");
    expect(events).toEqual(["paired"]);
  });

  it("hands the same joiner the same grant again until it is acknowledged or the time for that is over", async () => {
    const { window, events, clock } = await openWindow();
    for (let round = 0; round < 2; round += 1) {
      const attempt = window.begin("code", ALICE);
      await introduce(attempt);
      const enroll = () =>
        round === 0 ? Promise.resolve(GRANT) : Promise.reject(new Error("enrolled twice"));
      expect(await attempt.enroll(enroll)).toBe(GRANT);
      attempt.end();
    }
    clock.advance(LIMITS.pairingRejoinMs);
    expect(window.isAccepting).toBe(false);
    expect(refusalOf(() => window.begin("code", ALICE))).toBe("pairing.closed");
    expect(events).toEqual(["paired", "retired"]);
  });

  it("retires as soon as the joiner has stored its grant", async () => {
    const { window, events } = await openWindow();
    const attempt = window.begin("uri", ALICE);
    await introduce(attempt);
    await attempt.enroll(() => Promise.resolve(GRANT));
    attempt.acknowledge();
    expect(window.isAccepting).toBe(false);
    expect(events).toEqual(["paired", "retired"]);
  });

  it("is burnt by the first wrong tag, on disk before anything shows it", async () => {
    const { window, store, events } = await openWindow();
    let release: () => void = () => undefined;
    store.gate = new Promise((resolve) => {
      release = resolve;
    });
    const attempt = window.begin("code", MALLORY);
    const verdict = failureOf(attempt.prove(false));
    await Promise.resolve();
    expect(events).toEqual([]);
    expect(attempt.signal.aborted).toBe(false);
    expect(refusalOf(() => window.begin("code", ALICE))).toBe("pairing.code-burnt");
    release();
    expect(await verdict).toBe("pairing.wrong-code");
    expect(store.times).toHaveLength(1);
    expect(events).toEqual(["burnt", "retired"]);
    expect(window.state).toBe("burnt");
  });

  it("stays burnt when the burning could not be stored, and does not say what the verdict was", async () => {
    const { window, store } = await openWindow();
    store.failure = new Error("disk full");
    expect(await failureOf(window.begin("code", MALLORY).prove(false))).toBe("another error");
    expect(window.state).toBe("burnt");
    expect(refusalOf(() => window.begin("code", ALICE))).toBe("pairing.code-burnt");
  });

  it("lets one joiner at a time try the code, and others by URI beside it", async () => {
    const { window } = await openWindow();
    const first = window.begin("code", MALLORY);
    expect(refusalOf(() => window.begin("code", ALICE))).toBe("pairing.busy");
    await window.begin("uri", ALICE).prove(true);
    first.end();
    expect(refusalOf(() => window.begin("code", ALICE))).toBe("none");
  });

  it("does not burn for a wrong tag by URI", async () => {
    const { window, store } = await openWindow();
    for (let guess = 0; guess < 50; guess += 1) {
      expect(await failureOf(window.begin("uri", MALLORY).prove(false))).toBe("pairing.wrong-code");
    }
    expect(store.times).toEqual([]);
    await window.begin("code", ALICE).prove(true);
    expect(window.state).toBe("busy");
  });

  it("takes no second verdict in one attempt", async () => {
    const { window, store } = await openWindow();
    const attempt = window.begin("code", MALLORY);
    await failureOf(attempt.prove(false));
    expect(await failureOf(attempt.prove(true))).not.toBe("none");
    expect(await failureOf(attempt.enroll(() => Promise.resolve(GRANT)))).not.toBe("none");
    expect(store.times).toHaveLength(1);
  });

  it("does not enroll an attempt that proved nothing", async () => {
    const { window } = await openWindow();
    const attempt = window.begin("code", MALLORY);
    expect(await failureOf(attempt.enroll(() => Promise.resolve(GRANT)))).toBe("pairing.closed");
    expect(window.state).toBe("busy");
  });

  it("keeps its code when links drop before a tag, and burns it at the sixteenth", async () => {
    const { window, store } = await openWindow();
    for (let dropped = 1; dropped < LIMITS.pairingUnprovenAttempts; dropped += 1) {
      window.begin("code", MALLORY).end();
      expect(window.state).toBe("open");
    }
    window.begin("code", MALLORY).end();
    expect(refusalOf(() => window.begin("code", ALICE))).toBe("pairing.code-burnt");
    await Promise.resolve();
    expect(store.times).toHaveLength(1);
  });

  it("takes the slot back from a joiner that stays silent", async () => {
    const { window, clock } = await openWindow();
    const silent = window.begin("code", MALLORY);
    clock.advance(LIMITS.pairingProofMs);
    expect(silent.signal.aborted).toBe(true);
    expect(await failureOf(silent.prove(false))).toBe("pairing.expired");
    expect(window.state).toBe("open");
  });

  it("makes room for one more joiner by URI at the cost of the oldest unproven one", async () => {
    const { window } = await openWindow();
    const attempts = Array.from({ length: LIMITS.pairingUriAttempts }, () => window.begin("uri", MALLORY));
    await window.begin("uri", ALICE).prove(true);
    expect(attempts.map(({ signal }) => signal.aborted).indexOf(true)).toBe(0);
    expect(attempts.filter(({ signal }) => signal.aborted)).toHaveLength(1);
  });

  it("expires by itself and aborts what is under way", async () => {
    const { window, clock, events } = await openWindow({ ttlMs: 1_000 });
    const attempt = window.begin("uri", ALICE);
    await attempt.prove(true);
    clock.advance(1_000);
    expect((attempt.signal.reason as GatehouseError).code).toBe("pairing.expired");
    expect(refusalOf(() => window.begin("code", ALICE))).toBe("pairing.expired");
    expect(events).toEqual(["expired", "retired"]);
  });

  it("completes a grant that is being stored when the window expires or closes", async () => {
    for (const how of ["expire", "close"] as const) {
      const { window, clock, events } = await openWindow({ ttlMs: 1_000 });
      const attempt = window.begin("code", ALICE);
      await introduce(attempt);
      let store: (grant: PairingGrant) => void = () => undefined;
      const stored = new Promise<PairingGrant>((resolve) => {
        store = resolve;
      });
      const enrolled = attempt.enroll(() => stored);
      if (how === "expire") clock.advance(1_000);
      else window.close();
      expect(events).toEqual([]);
      store(GRANT);
      expect(await enrolled).toBe(GRANT);
      expect(events).toEqual(["paired"]);
      window.close();
      expect(window.isAccepting).toBe(true);
    }
  });

  it("is open again when enrolling failed, and over when it had expired meanwhile", async () => {
    const { window, clock, events } = await openWindow({ ttlMs: 60_000 });
    const first = window.begin("code", ALICE);
    await introduce(first);
    expect(await failureOf(first.enroll(() => Promise.reject(new Error("name taken"))))).toBe(
      "another error",
    );
    first.end();
    expect(window.state).toBe("open");
    const second = window.begin("code", ALICE);
    await introduce(second);
    const expireThenFail = (): Promise<PairingGrant> => {
      clock.advance(60_000);
      return Promise.reject(new Error("name taken"));
    };
    expect(await failureOf(second.enroll(expireThenFail))).toBe("another error");
    expect(events).toEqual(["expired", "retired"]);
  });

  it("has one winner when two joiners have proven their secrets", async () => {
    const { window } = await openWindow();
    const [slow, fast] = [window.begin("code", ALICE), window.begin("uri", MALLORY)];
    await Promise.all([introduce(slow), introduce(fast)]);
    const won = fast.enroll(() => Promise.resolve(GRANT));
    expect(await failureOf(slow.enroll(() => Promise.resolve(GRANT)))).toBe("pairing.closed");
    expect(await won).toBe(GRANT);
    expect(slow.signal.aborted).toBe(true);
  });

  it("has no code when opened by URI only", async () => {
    const { window } = await openWindow({ code: "none" });
    expect(window.code).toBeUndefined();
    expect(refusalOf(() => window.begin("code", ALICE))).toBe("pairing.closed");
    expect(refusalOf(() => window.begin("uri", ALICE))).toBe("none");
  });

  it.each([0, 0.5, LIMITS.pairingTtlMaxMs + 1, Number.NaN])("does not open for %d ms", async (ttlMs) => {
    await expect(openWindow({ ttlMs })).rejects.toThrow(RangeError);
  });

  it("wipes the URI's secret when it retires", async () => {
    const { window } = await openWindow();
    const { uriSecret } = window;
    expect(uriSecret.some((byte) => byte !== 0)).toBe(true);
    window.close();
    expect(uriSecret.every((byte) => byte === 0)).toBe(true);
  });
});

describe("guessing", () => {
  /** A window whose code has three digits, for a stranger who may stop, retry and reconnect as it likes. */
  const threeDigits = (random: SeededRandom) => ({
    bytes: (length: number) =>
      length === 4
        ? Uint8Array.of(0, 0, ...splitBelow(Math.floor(random.next() * 1_000)))
        : new Uint8Array(length),
  });
  const splitBelow = (value: number): [number, number] => [value >> 8, value & 255];

  it("succeeds in one window of a thousand with a three-digit code, whatever the stranger does", async () => {
    const windows = times({ short: 20_000, long: 100_000 });
    const random = new SeededRandom(2024);
    const limiter = await PairingLimiter.open(new MemoryLimiterStore(), new ManualClock());
    let right = 0;
    for (let index = 0; index < windows; index += 1) {
      const opened = await openWindow({ limiter, random: threeDigits(random), code: "forced" });
      if (await attack(opened.window, random)) right += 1;
      opened.window.close();
    }
    // Four and a half standard deviations: outside about once in 200 000 seeds of an honest machine.
    const [mean, spread] = [windows / 1_000, 4.5 * Math.sqrt(windows / 1_000)];
    expect(right).toBeGreaterThan(Math.max(0, mean - spread));
    expect(right).toBeLessThan(mean + spread);
  });

  /** Tries as often as the window lets it; true when a guess was right. */
  async function attack(window: Awaited<ReturnType<typeof openWindow>>["window"], random: SeededRandom) {
    for (let tries = 0; tries < 20; tries += 1) {
      if (refusalOf(() => window.begin("code", MALLORY).end()) !== "none") return false;
      if (random.next() < 0.3) continue;
      const attempt = window.begin("code", MALLORY);
      const guess = String(Math.floor(random.next() * 1_000)).padStart(6, "0");
      const isRight = new TextDecoder().decode(attempt.secret) === guess;
      const verdict = await failureOf(attempt.prove(isRight));
      if (verdict === "none") return true;
      attempt.end();
    }
    return false;
  }
});

describe("the limiter of burnt codes", () => {
  const burn = async (limiter: PairingLimiter, times: number) => {
    for (let index = 0; index < times; index += 1) await limiter.recordBurnt();
  };

  it("pauses pairing by code for 15 minutes at the fifth within an hour; URIs go on", async () => {
    const { limiter, clock, store } = await openWindow();
    await burn(limiter, 4);
    expect(refusalOf(() => limiter.check())).toBe("none");
    await burn(limiter, 1);
    await expect(openWindow({ clock, store, limiter })).rejects.toMatchObject({
      code: "pairing.paused",
      retryAfterMs: LIMITS.burntCodesPauseMs,
    });
    expect((await openWindow({ clock, limiter, code: "none" })).window.state).toBe("open");
    expect((await openWindow({ clock, limiter, code: "forced" })).window.code).toHaveLength(6);
    clock.advance(LIMITS.burntCodesPauseMs);
    expect((await openWindow({ clock, limiter })).window.state).toBe("open");
  });

  it("does not count codes burnt more than an hour apart together", async () => {
    const { limiter, clock } = await openWindow();
    for (let index = 0; index < 10; index += 1) {
      await burn(limiter, 1);
      clock.advance(901_000);
    }
    expect(limiter.pausedForMs).toBe(0);
  });

  it("tells how many were burnt within the last hour", async () => {
    const { limiter, clock } = await openWindow();
    await burn(limiter, 2);
    clock.advance(1_800_000);
    await burn(limiter, 1);
    expect(limiter.burntCodes).toBe(3);
    clock.advance(1_800_000);
    expect(limiter.burntCodes).toBe(1);
    await burn(limiter, 9);
    expect(limiter.burntCodes).toBe(LIMITS.burntCodes);
  });

  it("goes on pausing after a restart, for what is left", async () => {
    const { limiter, clock, store } = await openWindow();
    await burn(limiter, 5);
    clock.advance(300_000);
    const restarted = await PairingLimiter.open(store, new ManualClock(clock.now()));
    expect(restarted.pausedForMs).toBe(600_000);
  });

  it("neither ends nor prolongs a pause when the wall clock is stepped", async () => {
    const { limiter, clock } = await openWindow();
    await burn(limiter, 5);
    clock.stepWall(86_400_000);
    expect(limiter.pausedForMs).toBe(LIMITS.burntCodesPauseMs);
    clock.stepWall(-400_000_000);
    expect(limiter.pausedForMs).toBe(LIMITS.burntCodesPauseMs);
  });

  it("pauses 15 minutes at most after a restart with the clock set back by years", async () => {
    const { limiter, store } = await openWindow();
    await burn(limiter, 5);
    const restarted = await PairingLimiter.open(store, new ManualClock(unixMs(1_000_000)));
    expect(restarted.pausedForMs).toBe(LIMITS.burntCodesPauseMs);
  });
});
