import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/index.ts";
import type { JoinerFacts, JoinerKeys, PairingGrant, PairingWindow } from "../../src/pairing/index.ts";
import {
  ALICE,
  FACTS,
  failureOf,
  GRANT,
  introduce,
  MALLORY,
  openWindow,
  refusalOf,
  type TestWindowOptions,
} from "./windows.ts";

const MALLORY_IS = { deviceId: "mallory", name: "phone" };

/** A window in which Alice waits for somebody's yes. */
async function asking(options: TestWindowOptions = {}, facts: Partial<JoinerFacts> = {}) {
  const opened = await openWindow({ requireApproval: true, ...options });
  const attempt = opened.window.begin("code", ALICE);
  const timeoutMs = await introduce(attempt, facts);
  const enrolled: (string | undefined)[] = [];
  const enroll = (replaces: string | undefined): Promise<PairingGrant> => {
    enrolled.push(replaces);
    return Promise.resolve(GRANT);
  };
  const answer = attempt.enroll(enroll);
  answer.catch(() => undefined);
  return { ...opened, attempt, timeoutMs, enroll, enrolled, answer };
}

/** The joiner's connection breaks, and it comes back over another one. */
async function comeBack(window: PairingWindow, keys: JoinerKeys = ALICE, facts: Partial<JoinerFacts> = {}) {
  const attempt = window.begin("code", keys);
  return { attempt, timeoutMs: await introduce(attempt, facts) };
}

describe("a window that asks somebody", () => {
  it("says who it is that wants in, and enrolls nobody before the answer", async () => {
    const { window, clock, told, timeoutMs, enrolled } = await asking();
    expect(timeoutMs).toBe(LIMITS.pairingApprovalMs);
    const { replace: _, ...said } = FACTS;
    const joiner = {
      ...said,
      role: "member",
      replaces: "",
      expiresAt: clock.now() + LIMITS.pairingApprovalMs,
    };
    expect(told).toEqual([{ kind: "asked", joiner }]);
    expect(window.waiting).toEqual([joiner]);
    expect(window.state).toBe("asking");
    clock.advance(LIMITS.pairingExchangeMs * 2);
    await Promise.resolve();
    expect(enrolled).toEqual([]);
  });

  it("enrolls after a yes", async () => {
    const { window, answer, events, enrolled } = await asking();
    expect(window.decide("alice", "approve")).toMatchObject({ name: "laptop" });
    expect(await answer).toBe(GRANT);
    expect(enrolled).toEqual([undefined]);
    expect(events).toEqual(["asked", "paired"]);
    expect(window.waiting).toEqual([]);
  });

  it("closes after a no, and tells the joiner that it was one", async () => {
    const { window, answer, attempt, told, events, enrolled } = await asking();
    window.decide("alice", "deny");
    expect(await failureOf(answer)).toBe("pairing.denied");
    expect(attempt.signal.reason).toMatchObject({ code: "pairing.denied" });
    expect(told[1]).toEqual({ kind: "denied", deviceId: "alice" });
    expect(events).toEqual(["asked", "denied", "closed", "retired"]);
    expect(enrolled).toEqual([]);
    expect(refusalOf(() => window.begin("code", ALICE))).toBe("pairing.closed");
  });

  it("takes the first answer only", async () => {
    const { window, answer } = await asking();
    window.decide("alice", "approve");
    expect(refusalOf(() => window.decide("alice", "deny"))).toBe("pairing.not-waiting");
    expect(refusalOf(() => window.decide("mallory", "approve"))).toBe("pairing.not-waiting");
    expect(await answer).toBe(GRANT);
  });

  it("gives up on an answer after its time, and is open again", async () => {
    const { window, clock, answer, attempt, enrolled } = await asking({ ttlMs: LIMITS.pairingTtlMaxMs });
    clock.advance(LIMITS.pairingApprovalMs);
    expect(await failureOf(answer)).toBe("pairing.expired");
    expect(attempt.signal.reason).toMatchObject({ code: "pairing.expired" });
    expect(refusalOf(() => window.decide("alice", "approve"))).toBe("pairing.not-waiting");
    expect(window.state).toBe("open");
    expect(enrolled).toEqual([]);
  });

  it("does not cut a question short when its own time is up, but lets nobody else begin", async () => {
    const { window, clock, answer, events } = await asking({ ttlMs: 1_000 });
    clock.advance(1_000);
    expect(events).toEqual(["asked"]);
    expect(window.isAccepting).toBe(true);
    expect(refusalOf(() => window.begin("code", MALLORY))).toBe("pairing.expired");
    expect(refusalOf(() => window.begin("uri", MALLORY))).toBe("pairing.expired");
    window.decide("alice", "approve");
    expect(await answer).toBe(GRANT);
    expect(events).toEqual(["asked", "paired"]);
  });

  it("expires when its own time was up and nobody answers either", async () => {
    const { clock, answer, events } = await asking({ ttlMs: 1_000 });
    clock.advance(LIMITS.pairingApprovalMs);
    expect(await failureOf(answer)).toBe("pairing.expired");
    expect(events).toEqual(["asked", "expired", "retired"]);
  });

  it("tells who waits that it was closed, also when its time was up already", async () => {
    for (const ttlMs of [1_000, LIMITS.pairingTtlMaxMs]) {
      const { window, clock, answer, attempt, events, enrolled } = await asking({ ttlMs });
      clock.advance(1_000);
      window.close();
      expect(await failureOf(answer)).toBe("pairing.closed");
      expect(attempt.signal.reason).toMatchObject({ code: "pairing.closed" });
      expect(events).toEqual(["asked", "closed", "retired"]);
      expect(enrolled).toEqual([]);
    }
  });

  it("lets nobody in whose window closes right after the yes", async () => {
    const { window, answer, enrolled } = await asking();
    window.decide("alice", "approve");
    window.close();
    expect(await failureOf(answer)).toBe("pairing.closed");
    expect(enrolled).toEqual([]);
  });

  it("asks about one joiner by code at a time, and about a few by URI", async () => {
    const { window } = await asking();
    expect(refusalOf(() => window.begin("code", MALLORY))).toBe("pairing.busy");
    const byUri = await Promise.all(
      Array.from({ length: LIMITS.pairingQuestions }, async (_, index) => {
        const keys = { identityKey: new Uint8Array(32).fill(10 + index), tlsKeyHash: new Uint8Array(32) };
        return await failureOf(introduce(window.begin("uri", keys), { deviceId: `device ${index}` }));
      }),
    );
    expect(byUri).toEqual(["none", "none", "none", "pairing.busy"]);
    expect(window.waiting).toHaveLength(LIMITS.pairingQuestions);
  });

  it("sends all others away when one of them was let in", async () => {
    const { window, answer } = await asking();
    const other = window.begin("uri", MALLORY);
    await introduce(other, MALLORY_IS);
    const refused = failureOf(other.enroll(() => Promise.resolve(GRANT)));
    window.decide("alice", "approve");
    expect(await answer).toBe(GRANT);
    expect(await refused).toBe("pairing.closed");
    expect(window.waiting).toEqual([]);
  });

  it("is open again when enrolling whom somebody approved has failed", async () => {
    const { window, attempt } = await openWindow({ requireApproval: true }).then(async (opened) => {
      const begun = opened.window.begin("code", ALICE);
      await introduce(begun);
      return { ...opened, attempt: begun };
    });
    const failed = failureOf(attempt.enroll(() => Promise.reject(new Error("disk full"))));
    window.decide("alice", "approve");
    expect(await failed).toBe("another error");
    attempt.end();
    expect(window.state).toBe("open");
    expect(window.waiting).toEqual([]);
  });

  it("enrolls without an answer nobody whose other connection failed to be enrolled", async () => {
    const { window, answer, attempt } = await asking();
    answer.catch(() => undefined);
    attempt.end();
    const first = await comeBack(window);
    window.decide("alice", "approve");
    let fail: (reason: Error) => void = () => undefined;
    const failing = failureOf(
      first.attempt.enroll(
        () =>
          new Promise((_resolve, reject) => {
            fail = reject;
          }),
      ),
    );
    await Promise.resolve();
    const second = await comeBack(window);
    expect(second.timeoutMs).toBeUndefined();
    fail(new Error("disk full"));
    expect(await failing).toBe("another error");
    expect(await failureOf(second.attempt.enroll(() => Promise.resolve(GRANT)))).toBe("pairing.closed");
  });

  it("asks nobody when nobody wants to be asked", async () => {
    const { window, events } = await openWindow();
    expect(await introduce(window.begin("code", ALICE))).toBeUndefined();
    expect(events).toEqual([]);
  });
});

describe("a device that takes another one's place", () => {
  const known: TestWindowOptions = {
    requireApproval: false,
    findByName: (name) => (name === "laptop" ? "the old laptop" : undefined),
  };

  it("always needs a yes, which says whose place it is", async () => {
    const { window, answer, told, enrolled } = await asking(known, { replace: true });
    expect(told).toMatchObject([{ kind: "asked", joiner: { replaces: "the old laptop" } }]);
    expect(enrolled).toEqual([]);
    window.decide("alice", "approve");
    expect(await answer).toBe(GRANT);
    expect(enrolled).toEqual(["the old laptop"]);
  });

  it("is turned away without asking anybody when it did not say that it does", async () => {
    const { window, events } = await openWindow({ ...known, requireApproval: true });
    const attempt = window.begin("code", ALICE);
    expect(await failureOf(introduce(attempt))).toBe("device.name-taken");
    expect(await failureOf(attempt.enroll(() => Promise.resolve(GRANT)))).not.toBe("none");
    expect(events).toEqual([]);
  });

  it("needs none when nobody has its name, or it is the one that has it", async () => {
    for (const facts of [{ name: "phone" }, { deviceId: "the old laptop" }]) {
      const { window } = await openWindow(known);
      const attempt = window.begin("code", ALICE);
      expect(await introduce(attempt, { replace: true, ...facts })).toBeUndefined();
      const replaced: (string | undefined)[] = [];
      await attempt.enroll((replaces) => {
        replaced.push(replaces);
        return Promise.resolve(GRANT);
      });
      expect(replaced).toEqual([undefined]);
    }
  });
});

describe("a joiner whose link broke", () => {
  it("meets its own question again, with the time that is left", async () => {
    const { window, clock, attempt, answer, events, enroll, enrolled } = await asking();
    attempt.end();
    expect(await failureOf(answer)).toBe("pairing.closed");
    clock.advance(20_000);
    const again = await comeBack(window);
    expect(again.timeoutMs).toBe(LIMITS.pairingApprovalMs - 20_000);
    const granted = again.attempt.enroll(enroll);
    window.decide("alice", "approve");
    expect(await granted).toBe(GRANT);
    expect(enrolled).toHaveLength(1);
    expect(events).toEqual(["asked", "paired"]);
  });

  it("need not wait until its dead link is noticed: while it is asked about, stored or granted", async () => {
    const { window, attempt, answer, enroll } = await asking();
    const second = await comeBack(window);
    expect(attempt.signal.aborted).toBe(true);
    expect(await failureOf(answer)).toBe("pairing.closed");
    window.decide("alice", "approve");
    let store: (grant: PairingGrant) => void = () => undefined;
    const storing = second.attempt.enroll(
      () =>
        new Promise((resolve) => {
          store = resolve;
        }),
    );
    await Promise.resolve();
    const third = await comeBack(window);
    expect(third.timeoutMs).toBeUndefined();
    const thirdGrant = third.attempt.enroll(enroll);
    store(GRANT);
    expect(await Promise.all([storing, thirdGrant])).toEqual([GRANT, GRANT]);
    const fourth = await comeBack(window);
    expect(await fourth.attempt.enroll(() => Promise.reject(new Error("twice")))).toBe(GRANT);
  });

  it("finds the yes that was said while it was away, and after the window's own time too", async () => {
    const { window, clock, attempt, enroll, enrolled } = await asking({ ttlMs: 1_000 });
    attempt.end();
    clock.advance(1_000);
    window.decide("alice", "approve");
    expect(window.state).toBe("asking");
    const again = await comeBack(window);
    expect(again.timeoutMs).toBeUndefined();
    expect(await again.attempt.enroll(enroll)).toBe(GRANT);
    expect(enrolled).toHaveLength(1);
  });

  it("does not find it for ever", async () => {
    const { window, clock, attempt, events } = await asking({ ttlMs: 1_000 });
    attempt.end();
    window.decide("alice", "approve");
    clock.advance(LIMITS.pairingRejoinMs);
    expect(events).toEqual(["asked", "expired", "retired"]);
    expect(refusalOf(() => window.begin("code", ALICE))).toBe("pairing.expired");
  });

  it("may not come back as somebody else than was asked about", async () => {
    const changes = [{ name: "admin" }, { kind: "phone" }, { platform: "plan 9" }, { replace: true }];
    for (const change of changes) {
      const { window, attempt, answer } = await asking();
      expect(await failureOf(comeBack(window, ALICE, change))).toBe("pairing.busy");
      expect(attempt.signal.aborted).toBe(false);
      window.decide("alice", "approve");
      expect(await answer).toBe(GRANT);
    }
  });

  it("gets its slot back at once, which counts as a try that dropped", async () => {
    const { window, store } = await openWindow();
    for (let tries = 1; tries < LIMITS.pairingUnprovenAttempts; tries += 1) window.begin("code", ALICE);
    const last = window.begin("code", ALICE);
    expect(last.signal.aborted).toBe(false);
    expect(refusalOf(() => window.begin("code", ALICE))).toBe("pairing.code-burnt");
    await Promise.resolve();
    expect(store.times).toHaveLength(1);
  });

  it("loses nothing to a stranger who claims its identity key, but not to hold its TLS key", async () => {
    const posing = { identityKey: ALICE.identityKey, tlsKeyHash: MALLORY.tlsKeyHash };
    const trying = await openWindow();
    const first = trying.window.begin("code", ALICE);
    expect(refusalOf(() => trying.window.begin("code", posing))).toBe("pairing.busy");
    expect(first.signal.aborted).toBe(false);

    const { window, attempt, answer, clock } = await asking({ ttlMs: 1_000 });
    expect(refusalOf(() => window.begin("code", posing))).toBe("pairing.busy");
    const byUri = window.begin("uri", posing);
    expect(await failureOf(introduce(byUri))).toBe("pairing.busy");
    expect(attempt.signal.aborted).toBe(false);
    clock.advance(1_000);
    expect(refusalOf(() => window.begin("uri", posing))).toBe("pairing.expired");
    window.decide("alice", "approve");
    expect(await answer).toBe(GRANT);
    attempt.end();
    expect(refusalOf(() => window.begin("code", posing))).toBe("pairing.closed");
    expect(window.mayReturn("code", posing)).toBe(false);
    expect(window.mayReturn("code", ALICE)).toBe(true);
  });

  it("keeps what it has proven until whoever comes in its name has proven as much", async () => {
    const { window, attempt, answer } = await asking();
    const begun = window.begin("code", ALICE);
    expect(attempt.signal.aborted).toBe(false);
    await begun.prove(true);
    expect(attempt.signal.aborted).toBe(false);
    begun.end();
    window.decide("alice", "approve");
    expect(await answer).toBe(GRANT);
  });

  it("burns nothing when it comes back to what it was granted with another window's code", async () => {
    const { window, store, events } = await openWindow();
    const first = window.begin("code", ALICE);
    await introduce(first);
    await first.enroll(() => Promise.resolve(GRANT));
    expect(await failureOf(window.begin("code", ALICE).prove(false))).toBe("pairing.wrong-code");
    expect(events).toEqual(["paired", "retired"]);
    expect(store.times).toEqual([]);
  });
});
