import { describe, expect, it } from "vitest";
import type { Carriage, Dialled, DialOptions } from "../../src/client/link/lane.ts";
import { WHY } from "../../src/client/link/wire.ts";
import { raceWires, type WireDialOptions, type WireRaceParts } from "../../src/client/link/wire-race.ts";
import { type ErrorCode, GatehouseError, LIMITS } from "../../src/core/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { settled } from "../support/memory-wire.ts";
import { failure } from "./fake-gatehouse.ts";

/** A connection whose fate the test decides. */
class Connection implements AsyncDisposable {
  isOpen: boolean;
  isEarly: boolean;
  isDisposed = false;
  readonly opened: Promise<{ readonly isResumed: boolean }>;
  readonly closed: Promise<GatehouseError>;
  readonly handshakeMs = 1;
  #settle: {
    open(facts: { readonly isResumed: boolean }): void;
    fail(error: GatehouseError): void;
    close(error: GatehouseError): void;
  } = { open: () => undefined, fail: () => undefined, close: () => undefined };

  constructor(state: "early" | "open") {
    this.isEarly = state === "early";
    this.isOpen = state === "open";
    this.opened = new Promise((resolve, reject) => {
      this.#settle.open = resolve;
      this.#settle.fail = reject;
    });
    this.opened.catch(() => undefined);
    this.closed = new Promise((resolve) => {
      this.#settle.close = resolve;
    });
    if (state === "open") this.open();
  }

  get connection(): Carriage {
    const { isOpen, isEarly, opened, closed } = this;
    const openStream = () => {
      throw new Error("nobody calls here");
    };
    return {
      isOpen,
      isEarly,
      opened,
      closed,
      openStream,
      rttMs: 1,
      streamCount: 0,
      traffic: { sent: 0, received: 0 },
    };
  }

  open(): void {
    this.isOpen = true;
    this.isEarly = false;
    this.#settle.open({ isResumed: false });
  }

  end(code: ErrorCode): void {
    this.#settle.fail(failure(code));
    this.#settle.close(failure(code));
  }

  async migrate(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.isDisposed = true;
    this.end("quic.closed");
  }
}

/** One wire: each dial waits for the test's word. */
class Way {
  readonly dials: WireDialOptions[] = [];
  readonly #waiting: { resolve(connection: Connection): void; reject(failure: unknown): void }[] = [];

  readonly dial = (options: WireDialOptions): Promise<Connection> => {
    this.dials.push(options);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      options.signal.addEventListener("abort", () => reject(failure("rpc.cancelled")));
    });
  };

  async stand(state: "early" | "open" = "open"): Promise<Connection> {
    const connection = new Connection(state);
    this.#waiting.shift()?.resolve(connection);
    await settled();
    return connection;
  }

  async fail(code: ErrorCode): Promise<void> {
    this.#waiting.shift()?.reject(failure(code));
    await settled();
  }
}

class Scene {
  readonly clock = new ManualClock();
  readonly quic = new Way();
  readonly grpc = new Way();
  readonly better: Dialled[] = [];
  readonly moved: [string, Dialled][] = [];
  readonly noted: string[] = [];
  readonly gone = new AbortController();
  readonly outcome: Promise<Dialled | ErrorCode>;

  constructor(parts: Partial<WireRaceParts> & { readonly hasFailed?: boolean } = {}) {
    const { hasFailed = false, ...rest } = parts;
    const udp = {
      hasFailed: async () => hasFailed,
      failed: async () => void this.noted.push("failed"),
      worked: async () => void this.noted.push("worked"),
    };
    const own = { quic: this.quic.dial, grpc: this.grpc.dial, udp, clock: this.clock, ...rest };
    this.outcome = raceWires(own, this.#options()).catch((error: unknown) => {
      if (error instanceof GatehouseError) return error.code;
      throw error;
    });
  }

  async pass(ms: number): Promise<void> {
    await settled();
    this.clock.advance(ms);
    await settled();
  }

  #options(): DialOptions {
    return {
      resumption: { session: undefined, rttMs: undefined },
      timeoutMs: 10_000,
      signal: this.gone.signal,
      onMoveOn: (reason, dialled) => this.moved.push([reason, dialled]),
      onBetter: (dialled) => this.better.push(dialled),
    };
  }
}

describe("of two wires", () => {
  it("QUIC alone is tried while it may still stand, and TCP is never begun once it does", async () => {
    const scene = new Scene();
    await scene.pass(LIMITS.tcpAfterMs - 1);
    expect(scene.grpc.dials).toHaveLength(0);
    await scene.quic.stand();
    expect(await scene.outcome).toMatchObject({ wire: "quic", reason: WHY.first });
    await scene.pass(120_000);
    expect(scene.grpc.dials).toHaveLength(0);
    expect(scene.noted).toEqual(["worked"]);
  });

  it("TCP joins after a quarter of a second, with what is left of the time, and carries the calls when it stands first", async () => {
    const scene = new Scene();
    await scene.pass(LIMITS.tcpAfterMs);
    expect(scene.grpc.dials).toMatchObject([{ timeoutMs: 10_000 - LIMITS.tcpAfterMs }]);
    await scene.grpc.stand();
    expect(await scene.outcome).toMatchObject({ wire: "grpc", reason: WHY.silent });
    expect(scene.noted).toEqual(["failed"]);
  });

  it.each([
    ["quic.unreachable", WHY.refused],
    ["quic.unsupported-platform", WHY.unsupported],
    ["quic.closed", WHY.silent],
  ] as const)("TCP is tried at once when QUIC fails with %s", async (code, reason) => {
    const scene = new Scene();
    await settled();
    await scene.quic.fail(code);
    expect(scene.grpc.dials).toHaveLength(1);
    await scene.grpc.stand();
    expect(await scene.outcome).toMatchObject({ wire: "grpc", reason });
  });

  it("TCP is tried at once where UDP failed lately, and QUIC is not given up for it", async () => {
    const scene = new Scene({ hasFailed: true });
    await settled();
    expect([scene.quic.dials.length, scene.grpc.dials.length]).toEqual([1, 1]);
    await scene.quic.stand();
    expect(await scene.outcome).toMatchObject({ wire: "quic" });
    expect(scene.grpc.dials[0]?.signal.aborted).toBe(true);
    expect(scene.noted).toEqual(["worked"]);
  });

  it("the later one is closed, and nobody told of it, when it stands in the same moment", async () => {
    const scene = new Scene({ hasFailed: true });
    await settled();
    const [, late] = await Promise.all([scene.quic.stand(), scene.grpc.stand()]);
    expect(await scene.outcome).toMatchObject({ wire: "quic" });
    expect(late.isDisposed).toBe(true);
    expect(scene.better).toEqual([]);
  });

  it.each(["device.revoked", "certificate.expired", "quic.not-admitted", "quic.limit"] as const)(
    "what the gatehouse says over one, such as %s, is not asked again over the other",
    async (code) => {
      const overQuic = new Scene();
      await settled();
      await overQuic.quic.fail(code);
      expect(await overQuic.outcome).toBe(code);
      await overQuic.pass(60_000);
      expect(overQuic.grpc.dials).toHaveLength(0);

      const overTcp = new Scene();
      await overTcp.pass(LIMITS.tcpAfterMs);
      await overTcp.grpc.fail(code);
      expect(await overTcp.outcome).toBe(code);
      expect(overTcp.quic.dials[0]?.signal.aborted).toBe(true);
    },
  );

  it("whatever else listens on TCP's port does not end QUIC's attempt, and the other way round", async () => {
    const scene = new Scene();
    await scene.pass(LIMITS.tcpAfterMs);
    await scene.grpc.fail("quic.wrong-server");
    await scene.quic.stand();
    expect(await scene.outcome).toMatchObject({ wire: "quic" });
    const other = new Scene();
    await settled();
    await other.quic.fail("quic.wrong-server");
    await other.grpc.stand();
    expect(await other.outcome).toMatchObject({ wire: "grpc" });
  });

  it("none that stands makes QUIC's failure the answer, or TCP's where there is no QUIC", async () => {
    const scene = new Scene();
    await scene.pass(LIMITS.tcpAfterMs);
    await scene.grpc.fail("quic.unreachable");
    await scene.quic.fail("quic.timed-out");
    expect(await scene.outcome).toBe("quic.timed-out");
    const bare = new Scene();
    await settled();
    await bare.quic.fail("quic.unsupported-platform");
    await bare.grpc.fail("quic.unreachable");
    expect(await bare.outcome).toBe("quic.unreachable");
  });

  it("one alone is dialled where the other is not wanted", async () => {
    const scene = new Scene({ quic: undefined, only: WHY.wished });
    await settled();
    await scene.grpc.stand();
    expect(await scene.outcome).toMatchObject({ wire: "grpc", reason: WHY.wished });
    await scene.pass(120_000);
    expect(scene.noted).toEqual([]);
    const other = new Scene({ grpc: undefined });
    await other.pass(1_000);
    await other.quic.fail("quic.timed-out");
    expect(await other.outcome).toBe("quic.timed-out");
  });
});

it("where neither is served, or none of those that are wanted, fails at once", async () => {
  const scene = new Scene({ quic: undefined, grpc: undefined, only: WHY.wished });
  expect(await scene.outcome).toBe("quic.unreachable");
});

describe("early data", () => {
  it("goes at once, and TCP takes over when the handshake does not come", async () => {
    const scene = new Scene();
    await settled();
    await scene.quic.stand("early");
    expect(await scene.outcome).toMatchObject({ wire: "quic" });
    await scene.pass(LIMITS.tcpAfterMs);
    await scene.grpc.stand();
    expect(scene.better).toMatchObject([{ wire: "grpc", reason: WHY.silent }]);
    expect(scene.noted).toEqual(["failed"]);
  });

  it("whose handshake comes in time leaves TCP alone", async () => {
    const scene = new Scene();
    await settled();
    const early = await scene.quic.stand("early");
    await scene.pass(LIMITS.tcpAfterMs - 1);
    early.open();
    await scene.pass(60_000);
    expect(scene.grpc.dials).toHaveLength(0);
  });

  it("on a ticket that does not work says nothing of UDP", async () => {
    const scene = new Scene();
    await settled();
    const early = await scene.quic.stand("early");
    early.end("quic.closed");
    await scene.pass(60_000);
    expect(scene.grpc.dials).toHaveLength(0);
    expect(scene.noted).toEqual([]);
  });
});

describe("while calls go over TCP", () => {
  const overTcp = async (): Promise<{ scene: Scene; tcp: Connection }> => {
    const scene = new Scene();
    await scene.pass(LIMITS.tcpAfterMs);
    const tcp = await scene.grpc.stand();
    await scene.outcome;
    return { scene, tcp };
  };

  it("the first attempt at QUIC goes on, and takes them when it stands late", async () => {
    const { scene } = await overTcp();
    await scene.quic.stand();
    expect(scene.better).toMatchObject([{ wire: "quic", reason: WHY.back }]);
    expect(scene.noted).toEqual(["failed", "worked"]);
    await scene.pass(120_000);
    expect(scene.quic.dials).toHaveLength(1);
  });

  it("QUIC is tried again after pauses that double to a minute, by certificates, until it stands", async () => {
    const { scene } = await overTcp();
    await scene.quic.fail("quic.timed-out");
    const pausesMs = [5_000, 10_000, 20_000, 40_000, 60_000, 60_000];
    for (const [index, pauseMs] of pausesMs.entries()) {
      await scene.pass(pauseMs - 1);
      expect(scene.quic.dials).toHaveLength(1 + index);
      await scene.pass(1);
      expect(scene.quic.dials[1 + index]).toMatchObject({ resumption: { session: undefined } });
      if (index < pausesMs.length - 1) await scene.quic.fail("quic.timed-out");
    }
    await scene.quic.stand();
    expect(scene.better).toMatchObject([{ wire: "quic", reason: WHY.back }]);
    await scene.pass(600_000);
    expect(scene.quic.dials).toHaveLength(1 + pausesMs.length);
  });

  it("QUIC is tried no longer than they do", async () => {
    const { scene, tcp } = await overTcp();
    await scene.quic.fail("quic.timed-out");
    await scene.pass(5_000);
    tcp.end("quic.closed");
    await settled();
    expect(scene.quic.dials[1]?.signal.aborted).toBe(true);
    await scene.pass(600_000);
    expect(scene.quic.dials).toHaveLength(2);
  });

  it("a connection that is to be replaced is told by its own name", async () => {
    const { scene } = await overTcp();
    scene.grpc.dials[0]?.onMoveOn("recycle");
    const first = await scene.outcome;
    await scene.quic.stand();
    scene.quic.dials[0]?.onMoveOn("going-away");
    expect(scene.moved).toEqual([
      ["recycle", first],
      ["going-away", scene.better[0]],
    ]);
  });
});
