import { describe, expect, it } from "vitest";
import { connect, METHODS } from "../../src/client/index.ts";
import type { Link } from "../../src/client/link/link.ts";
// What a client makes of a link's word; it has no face of its own.
import { honouringRetryAfter } from "../../src/client/retry-after.ts";
import { DEFAULT_DEVICE_LIMITS } from "../../src/config/index.ts";
import {
  type ErrorCode,
  GatehouseError,
  silentLogger,
  systemClock,
  systemRandom,
} from "../../src/core/index.ts";
import { Daemon } from "../../src/daemon/index.ts";
import type { CallOptions } from "../../src/rpc/index.ts";
import { settled } from "../support/memory-wire.ts";
import { FakeGatehouse, PUT } from "./fake-gatehouse.ts";
import { PairedHomes } from "./paired-homes.ts";

const later = (code: ErrorCode, retryAfterMs: number): GatehouseError =>
  new GatehouseError(code, "come back", { retryAfterMs });

function put(gatehouse: FakeGatehouse, link: Link, options: CallOptions = {}) {
  const mayRepeat = honouringRetryAfter(link.mayRepeat, gatehouse.clock);
  const answer = gatehouse.caller.unary(link.openAfterHandshake, PUT, { path: "a" }, options, mayRepeat);
  const outcome = answer.then(
    () => "answered",
    (error: unknown) => (error instanceof GatehouseError ? error.code : "unknown"),
  );
  return { outcome, answer };
}

describe("a call that is turned away for a while", () => {
  it.each(["rpc.rate-limited", "rpc.overloaded"] as const)(
    "with %s is sent again when that is over, and not before, under its request id",
    async (code) => {
      const gatehouse = new FakeGatehouse(["open"]);
      await using link = await gatehouse.link();
      gatehouse.refusals = [later(code, 700), later(code, 300)];
      const { outcome } = put(gatehouse, link);
      await settled();
      gatehouse.clock.advance(699);
      await settled();
      expect(gatehouse.requestIds).toHaveLength(1);
      gatehouse.clock.advance(1);
      await settled();
      expect(gatehouse.requestIds).toHaveLength(2);
      gatehouse.clock.advance(300);
      expect(await outcome).toBe("answered");
      expect(new Set(gatehouse.requestIds).size).toBe(1);
      expect(gatehouse.requestIds).toHaveLength(3);
    },
  );

  it("after a wrong key is told at once: whoever typed it does not want to wait for that", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    gatehouse.refusals = [later("vault.unseal-limited", 10)];
    expect(await put(gatehouse, link).outcome).toBe("vault.unseal-limited");
    expect(gatehouse.requestIds).toHaveLength(1);
  });

  it("is told the fourth time", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    gatehouse.refusals = Array.from({ length: 9 }, () => later("rpc.rate-limited", 10));
    const { outcome } = put(gatehouse, link);
    for (let times = 0; times < 9; times += 1) {
      await settled();
      gatehouse.clock.advance(10);
    }
    expect(await outcome).toBe("rpc.rate-limited");
    expect(gatehouse.requestIds).toHaveLength(4);
  });

  it("is told at once when the time it has ends before, or with it", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    gatehouse.refusals = [later("rpc.overloaded", 1_000)];
    const { outcome, answer } = put(gatehouse, link, { timeoutMs: 1_000 });
    expect(await outcome).toBe("rpc.overloaded");
    await expect(answer).rejects.toMatchObject({ retryAfterMs: 1_000 });
    expect(gatehouse.requestIds).toHaveLength(1);
  });

  it.each([
    later("authz.denied", 10),
    later("tool.busy", 10),
    new GatehouseError("rpc.rate-limited", "no time said"),
  ])(
    "is told at once when it was judged, or nobody said for how long: $code, $retryAfterMs",
    async (refusal) => {
      const gatehouse = new FakeGatehouse(["open"]);
      await using link = await gatehouse.link();
      gatehouse.refusals = [refusal];
      expect(await put(gatehouse, link).outcome).toBe(refusal.code);
    },
  );

  it("ends with its deadline, its signal or its caller, and is not sent after that", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    const controller = new AbortController();
    gatehouse.refusals = [later("rpc.overloaded", 500), later("rpc.overloaded", 500)];
    const left = put(gatehouse, link, { signal: controller.signal }).outcome;
    const dropped = put(gatehouse, link).outcome;
    await settled();
    controller.abort();
    expect(await left).toBe("rpc.cancelled");
    gatehouse.caller[Symbol.dispose]();
    expect(await dropped).toBe("rpc.overloaded");
    await settled();
    gatehouse.clock.advance(1_000);
    await settled();
    expect(gatehouse.requestIds).toHaveLength(2);
  });
});

describe("retrying", () => {
  it("never, when that was asked for: neither for a time that was said nor for a lost connection", async () => {
    const gatehouse = new FakeGatehouse(["open"]);
    await using link = await gatehouse.link();
    gatehouse.refusals = [later("rpc.rate-limited", 10)];
    expect(await put(gatehouse, link, { retry: "never" }).outcome).toBe("rpc.rate-limited");
    gatehouse.at(0).isSilent = true;
    const { outcome } = put(gatehouse, link, { retry: "never" });
    gatehouse.at(0).end(new GatehouseError("quic.closed", "lost"));
    expect(await outcome).toBe("quic.closed");
    expect(gatehouse.requestIds).toHaveLength(1);
  });

  it("is what a client does with a gatehouse's own limits, unless it was told not to", async () => {
    await using homes = await PairedHomes.create();
    await using daemon = await Daemon.start({
      ...{ home: homes.home("limited"), keyDir: homes.home("keys"), version: "0.0.0", pid: 1 },
      ...{ clock: systemClock, random: systemRandom, logger: silentLogger },
      ...{ listen: [{ host: "127.0.0.1", port: 0 }], init: { name: "limited" } },
      config: {
        configFile: "config.toml",
        limits: { ...DEFAULT_DEVICE_LIMITS, calls: { count: 4, periodMs: 2_000 } },
      },
    });
    await using client = await connect({ home: homes.home("limited") });
    expect(daemon.ready.quic).toBe(client.remote.address);
    const list = (options: CallOptions) => client.call(METHODS.Vault.List, {}, options);
    const answers = await Promise.allSettled(Array.from({ length: 8 }, () => list({ retry: "never" })));
    const told = answers.filter(({ status }) => status === "rejected");
    expect(told.length).toBeGreaterThan(0);
    for (const answer of told)
      expect(answer).toMatchObject({
        reason: { code: "rpc.rate-limited", retryAfterMs: expect.any(Number) },
      });
    await expect(list({})).resolves.toMatchObject({ secrets: [] });
  });
});
