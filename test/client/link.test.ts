import { describe, expect, it } from "vitest";
import type { Link } from "../../src/client/link/link.ts";
import { LIMITS } from "../../src/core/index.ts";
import { encodeClose } from "../../src/rpc/index.ts";
import { settled } from "../support/memory-wire.ts";
import { FakeGatehouse, failure, OPEN, PING, PUT } from "./fake-gatehouse.ts";

const LOST = failure("quic.timed-out");
const GONE = failure("quic.unreachable");

const ping = (gatehouse: FakeGatehouse, link: Link, timeoutMs: number = LIMITS.callTimeoutMs) =>
  gatehouse.caller.unary(link.openSoonest, PING, {}, { timeoutMs }, link.mayRepeat);
const put = (gatehouse: FakeGatehouse, link: Link) =>
  gatehouse.caller.unary(link.openAfterHandshake, PUT, { path: "a" }, {}, link.mayRepeat);
const outcome = (called: Promise<unknown>): Promise<string> =>
  called.then(
    () => "answered",
    (error: { readonly code?: string }) => error.code ?? "unknown",
  );

/** Time goes on in steps, so that what each of them sets off can happen. */
async function pass(gatehouse: FakeGatehouse, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 25) {
    gatehouse.clock.advance(Math.min(left, 25));
    await settled(2);
  }
}

describe("early data", () => {
  it("carries calls without side effects at once, and no others", async () => {
    const gatehouse = new FakeGatehouse(["early"], { tickets: 1 });
    await using link = await gatehouse.link();
    await expect(ping(gatehouse, link)).resolves.toBeDefined();
    const changed = put(gatehouse, link);
    await settled();
    expect(gatehouse.at(0).streams).toHaveLength(1);
    gatehouse.at(0).open(true);
    await expect(changed).resolves.toMatchObject({ version: 1 });
    expect(gatehouse.router.earlyDataCounts).toMatchObject({ accepted: 1, withSideEffects: 0 });
    expect(link.handshake).toEqual({ isResumed: true, earlyData: "accepted" });
  });

  it("that is put off is sent again after the handshake, once, under its request id", async () => {
    const gatehouse = new FakeGatehouse(["early"], { tickets: 1 });
    await using link = await gatehouse.link();
    gatehouse.at(0).isSilent = true;
    const called = ping(gatehouse, link);
    const tooEarly = { status: 14, code: "rpc.too-early", message: "later", hint: "", retryAfterMs: 0 };
    gatehouse.at(0).streams[0]?.far.write(encodeClose(tooEarly), true);
    await settled();
    expect(gatehouse.at(0).streams).toHaveLength(1);
    gatehouse.at(0).isSilent = false;
    gatehouse.at(0).open(true);
    await called;
    expect(gatehouse.requestIds).toHaveLength(1);
    expect(link.handshake.earlyData).toBe("rejected");
  });

  it("that a gatehouse without the ticket's key never saw is sent again when the handshake is over", async () => {
    const gatehouse = new FakeGatehouse(["early"], { tickets: 1 });
    await using link = await gatehouse.link();
    gatehouse.at(0).isSilent = true;
    const called = [ping(gatehouse, link), ping(gatehouse, link)];
    gatehouse.at(0).isSilent = false;
    gatehouse.at(0).open(false);
    await Promise.all(called);
    expect(gatehouse.at(0).streams).toHaveLength(4);
    expect(link.handshake).toEqual({ isResumed: false, earlyData: "rejected" });
  });

  it("that got lost is sent again when its answer is overdue, and not while it may be on its way", async () => {
    const gatehouse = new FakeGatehouse(["early"], { tickets: 1 });
    await using link = await gatehouse.link();
    const answered = ping(gatehouse, link);
    gatehouse.at(0).isSilent = true;
    const called = ping(gatehouse, link);
    await answered;
    gatehouse.at(0).open(true);
    await settled();
    gatehouse.at(0).isSilent = false;
    gatehouse.clock.advance(49);
    await settled();
    expect(gatehouse.at(0).streams).toHaveLength(2);
    gatehouse.clock.advance(1);
    await called;
    expect(gatehouse.at(0).streams).toHaveLength(3);
    await pass(gatehouse, 1_000);
    expect(gatehouse.at(0).streams).toHaveLength(3);
  });

  it.each(["quic.wrong-server", "quic.not-admitted", "quic.closed", "certificate.expired"] as const)(
    "on a connection that fails with %s is sent on one with certificates, unseen",
    async (code) => {
      const gatehouse = new FakeGatehouse(["early", "open"], { tickets: 2 });
      await using link = await gatehouse.link();
      gatehouse.at(0).isSilent = true;
      const called = [ping(gatehouse, link), put(gatehouse, link)];
      await settled();
      gatehouse.at(0).end(failure(code));
      await Promise.all(called);
      expect(gatehouse.dials.map(({ resumption }) => resumption.session !== undefined)).toEqual([
        true,
        false,
      ]);
      expect(gatehouse.at(0).isDisposed).toBe(true);
    },
  );

  it.each(["device.revoked", "quic.unreachable", "quic.timed-out"] as const)(
    "on a first connection that fails with %s fails with that, and nothing is tried again",
    async (code) => {
      const gatehouse = new FakeGatehouse(["early", "open"], { tickets: 2 });
      await using link = await gatehouse.link();
      gatehouse.at(0).isSilent = true;
      const called = [ping(gatehouse, link), put(gatehouse, link)].map(outcome);
      await settled();
      gatehouse.at(0).end(failure(code));
      expect(await Promise.all(called)).toEqual([code, code]);
      expect(gatehouse.dials).toHaveLength(1);
    },
  );

  it("is not sent where tickets are only to shorten handshakes", async () => {
    const gatehouse = new FakeGatehouse(["early"], { tickets: 1, resumption: "handshake" });
    const opening = gatehouse.link();
    await settled();
    gatehouse.at(0).open(true);
    await using link = await opening;
    await ping(gatehouse, link);
    expect(gatehouse.router.earlyDataCounts).toMatchObject({ accepted: 0 });
    expect(link.handshake).toEqual({ isResumed: true, earlyData: "none" });
  });
});

describe("connecting", () => {
  it("falls back to certificates when the handshake by ticket fails, within the same time", async () => {
    const gatehouse = new FakeGatehouse([failure("quic.closed"), "open"], { tickets: 1 });
    await using link = await gatehouse.link();
    await ping(gatehouse, link);
    expect(gatehouse.dials.map(({ resumption }) => resumption.session !== undefined)).toEqual([true, false]);
  });

  it("takes no ticket where none is wanted", async () => {
    const gatehouse = new FakeGatehouse(["open"], { tickets: 1, resumption: "none" });
    await using _link = await gatehouse.link();
    expect(gatehouse.tickets).toBe(1);
  });

  it("the first time does not try for long: a gatehouse that is not there is said to be so", async () => {
    const gatehouse = new FakeGatehouse([GONE]);
    await expect(gatehouse.link()).rejects.toMatchObject({ code: "quic.unreachable" });
    expect(gatehouse.dials).toHaveLength(1);
    expect(gatehouse.clock.timers).toBe(0);
  });
});

it("what gave connecting up in time gives up nothing later", async () => {
  const gatehouse = new FakeGatehouse(["open"]);
  const controller = new AbortController();
  await using link = await gatehouse.link(controller.signal);
  await ping(gatehouse, link);
  controller.abort();
  expect(gatehouse.dials[0]?.signal.aborted).toBe(false);
});

it("of two connections that come up for one, one is kept", async () => {
  const gatehouse = new FakeGatehouse(["open", "open"]);
  await using link = await gatehouse.link();
  gatehouse.clock.advance(5_000);
  gatehouse.at(0).end(LOST);
  const called = ping(gatehouse, link);
  while (gatehouse.dials.length < 2) await Promise.resolve();
  const { onBetter } = gatehouse.dials[1] ?? {};
  const other = gatehouse.connection();
  onBetter?.(other);
  await called;
  await settled();
  expect([gatehouse.at(1), other].filter(({ isDisposed }) => isDisposed)).toHaveLength(1);
});

describe("a connection that the gatehouse ends because the certificate has run out", () => {
  const expired = failure("certificate.expired");

  it("takes its calls to one that is made after the certificate was renewed", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    gatehouse.renewals = 1;
    await using link = await gatehouse.link();
    gatehouse.at(0).isSilent = true;
    const called = [ping(gatehouse, link), put(gatehouse, link)];
    await settled();
    gatehouse.at(0).end(expired);
    await settled();
    gatehouse.clock.advance(LIMITS.reconnectPauseMs);
    await Promise.all(called);
    expect(gatehouse.mended).toEqual(["certificate.expired"]);
    expect(gatehouse.dials).toHaveLength(2);
  });

  it("costs them when that was done before", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    gatehouse.at(0).isSilent = true;
    const called = ping(gatehouse, link).catch((error: unknown) => error);
    await settled();
    gatehouse.at(0).end(expired);
    expect(await called).toBe(expired);
    expect(gatehouse.dials).toHaveLength(1);
  });

  it("is believed only when the gatehouse was checked before: the network cannot say so", async () => {
    const gatehouse = new FakeGatehouse(["early", "open"]);
    gatehouse.renewals = 1;
    await using link = await gatehouse.link();
    gatehouse.at(0).isSilent = true;
    const called = ping(gatehouse, link).catch((error: unknown) => error);
    await settled();
    gatehouse.at(0).end(expired);
    expect(await called).toBe(expired);
    expect(gatehouse.mended).toEqual([]);
  });
});

describe("a lost connection", () => {
  it("is made anew by the next call, once for all that wait", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    await ping(gatehouse, link);
    gatehouse.at(0).end(LOST);
    await settled();
    expect(gatehouse.dials).toHaveLength(1);
    const called = Array.from({ length: 20 }, () => ping(gatehouse, link));
    await pass(gatehouse, 100);
    await Promise.all(called);
    expect(gatehouse.dials).toHaveLength(2);
    expect(gatehouse.at(0).isDisposed).toBe(true);
  });

  it("does not cost the calls in flight, changes included, each under the id it had", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    gatehouse.at(0).isSilent = true;
    const called = [ping(gatehouse, link), put(gatehouse, link)];
    const lost = gatehouse.at(0).streams.map(({ near }) => Buffer.from(near.written[0] ?? []));
    gatehouse.at(0).end(LOST);
    await pass(gatehouse, 100);
    await Promise.all(called);
    expect(gatehouse.requestIds).toHaveLength(2);
    for (const id of gatehouse.requestIds) {
      expect(lost.filter((bytes) => bytes.includes(Buffer.from(id, "hex")))).toHaveLength(1);
    }
  });

  it("costs a call that lost two of them, and every stream of answers", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    gatehouse.at(0).isSilent = true;
    gatehouse.isSilent = true;
    const called = outcome(ping(gatehouse, link));
    const events = gatehouse.caller.serverStream(link.openAfterHandshake, OPEN, {});
    const streamed = outcome(events.next());
    gatehouse.at(0).end(LOST);
    expect(await streamed).toBe("quic.timed-out");
    await pass(gatehouse, 100);
    expect(gatehouse.at(1).streams).toHaveLength(1);
    gatehouse.at(1).end(failure("quic.closed"));
    expect(await called).toBe("quic.closed");
    await pass(gatehouse, 1_000);
    expect(gatehouse.dials).toHaveLength(2);
  });

  it("whose gatehouse refuses this device is not made anew behind its back", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    gatehouse.at(0).isSilent = true;
    const called = outcome(ping(gatehouse, link));
    gatehouse.at(0).end(failure("device.revoked"));
    expect(await called).toBe("device.revoked");
    await settled();
    expect(gatehouse.dials).toHaveLength(1);
  });

  it("is tried for with growing pauses as long as the gatehouse stays away, and then told", async () => {
    const gatehouse = new FakeGatehouse(["open", GONE]);
    await using link = await gatehouse.link();
    gatehouse.at(0).end(LOST);
    await settled();
    const called = outcome(ping(gatehouse, link));
    await pass(gatehouse, LIMITS.reconnectMs + LIMITS.reconnectPauseMaxMs);
    expect(await called).toBe("quic.unreachable");
    expect(gatehouse.dials.length).toBeGreaterThan(6);
    expect(gatehouse.dials.length).toBeLessThan(20);
  });

  it("is not tried for past the calls' own time", async () => {
    const gatehouse = new FakeGatehouse(["open", GONE]);
    await using link = await gatehouse.link();
    gatehouse.at(0).end(LOST);
    await settled();
    const called = outcome(ping(gatehouse, link, 300));
    await pass(gatehouse, 400);
    expect(await called).toBe("rpc.deadline");
    const { length } = gatehouse.dials;
    await pass(gatehouse, 5_000);
    expect(gatehouse.dials.length - length).toBeLessThanOrEqual(1);
  });

  it("resumes with a ticket when there is one", async () => {
    const gatehouse = new FakeGatehouse(["open", "early"], { tickets: 2 });
    await using link = await gatehouse.link();
    gatehouse.at(0).end(LOST);
    await settled();
    const called = ping(gatehouse, link);
    await pass(gatehouse, 100);
    await called;
    expect(gatehouse.router.earlyDataCounts).toMatchObject({ accepted: 1 });
    gatehouse.at(1).open(true);
  });

  it("does not use up tickets on a gatehouse that does not answer", async () => {
    const gatehouse = new FakeGatehouse(["open", "early", GONE], { tickets: 4 });
    await using link = await gatehouse.link();
    gatehouse.at(0).end(LOST);
    await settled();
    const called = outcome(ping(gatehouse, link));
    await pass(gatehouse, 100);
    gatehouse.at(1).isSilent = true;
    const waiting = outcome(put(gatehouse, link));
    gatehouse.at(1).end(GONE);
    await pass(gatehouse, 1_000);
    expect(gatehouse.tickets).toBe(2);
    gatehouse.script = ["open"];
    await pass(gatehouse, LIMITS.reconnectPauseMaxMs);
    expect(await Promise.all([called, waiting])).toEqual(["answered", "answered"]);
  });
});

describe("a connection that falls silent", () => {
  it("is left with its calls when another one can be had, long before it ends by itself", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    Object.assign(gatehouse.at(0), { isSilent: true, isDead: true });
    const called = [ping(gatehouse, link), put(gatehouse, link)];
    await pass(gatehouse, 975);
    expect(gatehouse.dials).toHaveLength(1);
    await pass(gatehouse, 300);
    await Promise.all(called);
    expect(gatehouse.dials).toHaveLength(2);
    expect(gatehouse.at(0).isDisposed).toBe(true);
    await ping(gatehouse, link);
    expect(gatehouse.at(1).streams).toHaveLength(3);
  });

  it("keeps its calls when it is heard again before the other one is there, and is trusted longer then", async () => {
    const gatehouse = new FakeGatehouse(["open", "early"], { tickets: 2 });
    await using link = await gatehouse.link();
    const old = gatehouse.at(0);
    Object.assign(old, { isSilent: true, isDead: true });
    const called = ping(gatehouse, link);
    await pass(gatehouse, 1_300);
    old.isDead = false;
    gatehouse.at(1).open(true);
    await settled();
    expect([old.isDisposed, gatehouse.at(1).isDisposed]).toEqual([false, true]);
    old.isDead = true;
    await pass(gatehouse, 1_900);
    expect(gatehouse.dials).toHaveLength(2);
    const [stream] = old.streams;
    if (stream !== undefined) gatehouse.router.serve(stream.far, "device");
    await called;
  });

  it("with no call under way, or with a slow one that is acknowledged, is left alone", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    await ping(gatehouse, link);
    gatehouse.at(0).isDead = true;
    await pass(gatehouse, 10_000);
    Object.assign(gatehouse.at(0), { isDead: false, isSilent: true });
    const slow = outcome(ping(gatehouse, link));
    await pass(gatehouse, 20_000);
    expect(gatehouse.dials).toHaveLength(1);
    await pass(gatehouse, 15_000);
    expect(await slow).toBe("rpc.deadline");
  });

  it("because neither side has anything to say is left alone, calls under way or not", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    Object.assign(gatehouse.at(0), { isSilent: true, isIdle: true });
    const waiting = outcome(ping(gatehouse, link, 60_000));
    await pass(gatehouse, 50_000);
    expect(gatehouse.dials).toHaveLength(1);
    await pass(gatehouse, 11_000);
    expect(await waiting).toBe("rpc.deadline");
  });

  it("is not given up for nothing: as long as nobody answers anywhere, its calls wait on it", async () => {
    const gatehouse = new FakeGatehouse(["open", GONE]);
    await using link = await gatehouse.link();
    Object.assign(gatehouse.at(0), { isSilent: true, isDead: true });
    const called = outcome(ping(gatehouse, link));
    await pass(gatehouse, 12_000);
    expect(gatehouse.dials.length).toBeGreaterThan(2);
    expect(gatehouse.dials.length).toBeLessThan(8);
    gatehouse.script = ["open"];
    await pass(gatehouse, 15_000);
    expect(await called).toBe("answered");
  });
});

describe("moving on", () => {
  it("takes new calls to a fresh connection while old ones end where they are", async () => {
    const gatehouse = new FakeGatehouse(["open", "early"], { tickets: 2 });
    await using link = await gatehouse.link();
    gatehouse.at(0).isSilent = true;
    const slow = ping(gatehouse, link);
    gatehouse.at(0).moveOn("recycle");
    await settled();
    gatehouse.at(0).isSilent = false;
    // Nobody waits for the new one's handshake.
    await ping(gatehouse, link);
    expect(gatehouse.at(0).streams).toHaveLength(2);
    gatehouse.at(1).open(true);
    await settled();
    await ping(gatehouse, link);
    expect(gatehouse.at(1).streams).toHaveLength(1);
    await pass(gatehouse, 200);
    expect(gatehouse.at(0).isDisposed).toBe(false);
    const [first] = gatehouse.at(0).streams;
    if (first !== undefined) gatehouse.router.serve(first.far, "device");
    await slow;
    await pass(gatehouse, 100);
    expect(gatehouse.at(0).isDisposed).toBe(true);
  });

  it("to another local address is done by the connection in use", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    gatehouse.at(0).moveOn("recycle");
    await settled();
    await link.migrate();
    expect(gatehouse.connections.map(({ moves }) => moves)).toEqual([0, 1]);
  });

  it("stays where it is while no fresh connection is to be had", async () => {
    const gatehouse = new FakeGatehouse(["open", GONE, GONE, "open"]);
    await using link = await gatehouse.link();
    gatehouse.at(0).moveOn("recycle");
    await settled();
    await ping(gatehouse, link);
    expect(gatehouse.connections).toHaveLength(1);
    await pass(gatehouse, 2_000);
    await ping(gatehouse, link);
    expect(gatehouse.at(1).streams).toHaveLength(1);
  });

  it("does not wait for ever for the calls on the old connection, and sends them again then", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    gatehouse.at(0).isSilent = true;
    const stuck = ping(gatehouse, link, LIMITS.callTimeoutMaxMs);
    gatehouse.at(0).moveOn("recycle");
    await settled();
    gatehouse.clock.advance(LIMITS.retireMs);
    await pass(gatehouse, 200);
    expect(gatehouse.at(0).isDisposed).toBe(true);
    await stuck;
  });

  it("from a gatehouse that goes away waits until it is back", async () => {
    const gatehouse = new FakeGatehouse(["open", GONE, GONE, "open"]);
    await using link = await gatehouse.link();
    gatehouse.at(0).moveOn("going-away");
    const called = ping(gatehouse, link);
    await settled();
    expect(gatehouse.at(0).streams).toHaveLength(0);
    await pass(gatehouse, 1_000);
    await called;
    expect(gatehouse.connections).toHaveLength(2);
  });

  it("happens on a draining gatehouse's word for a call, and ends when it never comes back", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    await gatehouse.router.drain(0);
    const called = outcome(ping(gatehouse, link));
    await pass(gatehouse, 20_000);
    expect(await called).toBe("rpc.draining");
    expect(gatehouse.dials.length).toBeLessThan(10);
  });
});

describe("closing", () => {
  it("ends calls in flight and calls that wait, and leaves no timer and no connection", async () => {
    const gatehouse = new FakeGatehouse(["open", "open", GONE]);
    const link = await gatehouse.link();
    gatehouse.at(0).isSilent = true;
    const inFlight = outcome(ping(gatehouse, link));
    gatehouse.at(0).moveOn("recycle");
    await settled();
    gatehouse.at(1).end(LOST);
    await settled();
    const waiting = outcome(ping(gatehouse, link));
    await settled();
    gatehouse.caller[Symbol.dispose]();
    await link[Symbol.asyncDispose]();
    expect(await Promise.all([inFlight, waiting])).toEqual(["quic.closed", "quic.closed"]);
    expect(gatehouse.connections.every(({ isDisposed }) => isDisposed)).toBe(true);
    expect(gatehouse.clock.timers).toBe(0);
    await expect(ping(gatehouse, link, 50)).rejects.toMatchObject({ code: "quic.closed" });
  });

  it("in the middle of connecting anew closes what comes of it", async () => {
    const gatehouse = new FakeGatehouse(["open", "early"], { tickets: 2 });
    const link = await gatehouse.link();
    gatehouse.at(0).moveOn("recycle");
    await settled();
    await link[Symbol.asyncDispose]();
    await settled();
    expect(gatehouse.connections.map(({ isDisposed }) => isDisposed)).toEqual([true, true]);
    expect(gatehouse.clock.timers).toBe(0);
  });
});
