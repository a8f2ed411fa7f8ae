/** The engine's own logic between two endpoints on a made-up network: no socket, no waiting, the same every time. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/index.ts";
import type { Network, QuicClientConnection, QuicConnectOptions, QuicServer } from "../../src/quic/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type LinkQuality, type MemoryHost, MemoryNetwork } from "../support/memory-network.ts";
import { Endpoints, roundTrip } from "./endpoints.ts";

let endpoints: Endpoints;
beforeAll(() => {
  endpoints = new Endpoints();
});
afterAll(() => endpoints[Symbol.dispose]());

/** One server, one client machine, and the network between them. */
class World implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly network: MemoryNetwork;
  readonly phone: MemoryHost;
  readonly server: QuicServer;
  readonly clients: QuicClientConnection[] = [];

  private constructor(network: MemoryNetwork, clock: ManualClock, server: QuicServer) {
    this.network = network;
    this.clock = clock;
    this.phone = network.host("10.0.0.2");
    this.server = server;
  }

  static async open(seed: number, quality?: LinkQuality, limits = {}): Promise<World> {
    const clock = new ManualClock();
    const network = new MemoryNetwork(clock, seed, quality);
    const listen = [{ host: "10.0.0.1", port: 7_443 }];
    const server = await endpoints.listen({ listen, clock, limits, network: network.host("10.0.0.1") });
    return new World(network, clock, server);
  }

  /** Undefined when it does not stand within `ms`. */
  async dial(
    ms: number,
    options: Partial<QuicConnectOptions> = {},
  ): Promise<QuicClientConnection | undefined> {
    let opened: QuicClientConnection | undefined;
    let isOver = false;
    const { clock, phone: network } = this;
    void endpoints
      .dial(this.server.address, { clock, network, timeoutMs: ms, ...options })
      .then((client) => {
        opened = client;
        this.clients.push(client);
      })
      .catch(() => undefined)
      .finally(() => {
        isOver = true;
      });
    // Making a TLS context takes turns of the real event loop.
    while (this.network.sent === 0 && !isOver) await new Promise((resolve) => setImmediate(resolve));
    await this.network.pass(ms + 1, () => isOver);
    return opened;
  }

  async call(client: QuicClientConnection, text: string, ms = 500): Promise<string> {
    let answer = "";
    void roundTrip(client, Buffer.from(text)).then(
      (bytes) => {
        answer = bytes.toString();
      },
      (failure: unknown) => {
        answer = String(failure);
      },
    );
    await this.network.pass(ms, () => answer !== "");
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.clients) await client[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

describe("the handshake on a lossy link", () => {
  it("stands without waiting for the library's timers, at 20 % loss each way and 30 ms", async () => {
    const tls = await endpoints.tls();
    const tookMs: number[] = [];
    for (let seed = 1; seed <= 60; seed += 1) {
      await using world = await World.open(seed, { lossRate: 0.2, delayMs: 15 });
      const before = world.clock.monotonicMs();
      if ((await world.dial(900, { tls })) !== undefined) tookMs.push(world.clock.monotonicMs() - before);
    }
    // The library's own first timer is a second of real time; none has passed.
    expect(tookMs.length).toBeGreaterThanOrEqual(57);
    tookMs.sort((a, b) => a - b);
    expect(tookMs[Math.floor(tookMs.length / 2)]).toBeLessThanOrEqual(80);
  });

  it("sends nothing twice where nothing is lost", async () => {
    await using world = await World.open(1, { lossRate: 0, delayMs: 10 });
    expect(await world.dial(1_000)).toBeDefined();
    await world.network.pass(1_000);
    expect(world.server.counters.repeats).toBe(0);
    expect(world.clients[0]?.connection.repeats).toBe(0);
  });

  it("is patient on a path that is remembered as long", async () => {
    await using world = await World.open(1, { lossRate: 0, delayMs: 75 });
    expect(await world.dial(1_000, { rttMs: 150 })).toBeDefined();
    expect(world.clients[0]?.connection.repeats).toBe(0);
  });

  it("sends an address that has proven nothing no more than three times what came from it", async () => {
    const clock = new ManualClock();
    const network = new MemoryNetwork(clock, 1);
    const door = network.host("10.0.0.1");
    const listen = [{ host: "10.0.0.1", port: 7_443 }];
    await using server = await endpoints.listen({ listen, clock, network: door });
    const deaf = network.host("10.0.0.9");
    let received = 0;
    let sent = 0;
    const socket = await deaf.connect();
    const mute: Network = {
      localAddresses: () => ["10.0.0.9"],
      bind: () => deaf.bind(server.address),
      connect: () =>
        Promise.resolve({
          address: socket.address,
          isCongested: false,
          acquire: () => socket.acquire(),
          release: () => undefined,
          listen: () =>
            socket.listen(
              (datagram) => {
                received += datagram.length;
              },
              () => undefined,
            ),
          send: (buffer, length, to) => {
            sent += length;
            socket.send(buffer, length, to);
          },
          [Symbol.asyncDispose]: () => socket[Symbol.asyncDispose](),
        }),
    };
    const dialling = endpoints.dial(server.address, { clock, network: mute, timeoutMs: 2_000 });
    dialling.catch(() => undefined);
    while (network.sent === 0) await new Promise((resolve) => setImmediate(resolve));
    await network.pass(2_100);
    await expect(dialling).rejects.toMatchObject({ code: "quic.timed-out" });
    expect(received).toBeGreaterThan(1_200);
    expect(received).toBeLessThanOrEqual(3 * sent);
  });
});

describe("Retry", () => {
  it("is asked of newcomers when many handshakes are under way, and lets them in a round trip later", async () => {
    await using world = await World.open(1, { lossRate: 0, delayMs: 10 }, { handshakesBeforeRetry: 0 });
    const client = await world.dial(1_000);
    expect(client && (await world.call(client, "hello"))).toBe("hello");
    expect(world.server.counters).toMatchObject({ retries: 1, accepted: 1, admitted: 1 });
  });

  it("survives loss like any other handshake", async () => {
    const tls = await endpoints.tls();
    let stood = 0;
    for (let seed = 1; seed <= 30; seed += 1) {
      await using world = await World.open(
        seed,
        { lossRate: 0.1, delayMs: 10 },
        { handshakesBeforeRetry: 0 },
      );
      if ((await world.dial(900, { tls })) !== undefined) stood += 1;
    }
    expect(stood).toBeGreaterThanOrEqual(28);
  });
});

describe("a connection on the move", () => {
  it("keeps its streams through a NAT that forgets, again and again", async () => {
    await using world = await World.open(1);
    const client = await world.dial(1_000);
    for (let time = 0; client !== undefined && time < 20; time += 1) {
      world.network.rebind();
      expect(await world.call(client, `call ${time}`)).toBe(`call ${time}`);
    }
    expect(world.server.connectionCount).toBe(1);
  });

  it("is asked to make way for a fresh one before the library runs out of places, and refused after", async () => {
    await using world = await World.open(1);
    const asked: string[] = [];
    const client = await world.dial(1_000, { onMoveOn: (reason) => void asked.push(reason) });
    let answered = 0;
    const askedAt: number[] = [];
    for (let time = 0; client !== undefined && time < 70; time += 1) {
      world.network.rebind();
      if ((await world.call(client, `call ${time}`, 60)) === `call ${time}`) answered += 1;
      if (asked.length > askedAt.length) askedAt.push(time);
    }
    expect(asked).toEqual(["recycle"]);
    expect(askedAt[0]).toBeGreaterThan(LIMITS.connectionPaths - 4);
    expect(askedAt[0]).toBeLessThan(LIMITS.connectionPaths + 1);
    // The library's own timers stand still here: what it would send again after one of them stays lost.
    expect(answered).toBeGreaterThan(LIMITS.connectionPaths);
    expect(answered).toBeLessThan(2 * LIMITS.connectionPaths);
  });

  it("moves to another local port on demand, and the server follows", async () => {
    await using world = await World.open(1);
    const client = await world.dial(1_000);
    const before = client?.connection.paths.local;
    const moving = client?.migrate();
    await world.network.pass(200);
    await moving;
    expect(client?.connection.paths.local).not.toEqual(before);
    expect(client && (await world.call(client, "hello"))).toBe("hello");
  });

  it("tries a new path again when its challenge is lost", async () => {
    await using world = await World.open(3);
    const client = await world.dial(1_000);
    world.network.quality = { lossRate: 0.4, delayMs: 5 };
    const moving = client?.migrate();
    await world.network.pass(3_000);
    await moving;
    world.network.quality = { lossRate: 0, delayMs: 5 };
    const answers: string[] = [];
    for (let time = 0; client !== undefined && time < 3; time += 1)
      answers.push(await world.call(client, "hello"));
    expect(answers).toContain("hello");
  });

  it("follows its machine to another network by itself", async () => {
    await using world = await World.open(1);
    const client = await world.dial(1_000);
    await world.network.pass(50);
    world.phone.moveTo("10.9.0.7");
    await world.network.pass(1_100);
    expect(client?.connection.paths.local?.host).toBe("10.9.0.7");
    expect(client && (await world.call(client, "still here"))).toBe("still here");
    expect(world.server.connectionCount).toBe(1);
  });
});

describe("a connection that cannot move", () => {
  it("asks for a fresh one when its network is gone", async () => {
    await using world = await World.open(1);
    const asked: string[] = [];
    await world.dial(1_000, { onMoveOn: (reason) => void asked.push(reason) });
    // Before the server's connection ids have come.
    world.phone.moveTo("10.9.0.7");
    await world.network.pass(3_000);
    expect(asked).toEqual(["recycle"]);
  });
});

describe("the limits of the door", () => {
  it("gives a handshake its time and no more, and keeps nothing of it", async () => {
    await using world = await World.open(1, { lossRate: 0, delayMs: 10 }, { handshakeMs: 300 });
    const dialling = world.dial(200);
    // What the client says after its first flight gets lost.
    while (world.server.halfOpenCount === 0) await new Promise((resolve) => setImmediate(resolve));
    world.network.quality = { lossRate: 1, delayMs: 10 };
    await dialling;
    expect(world.server.halfOpenCount).toBe(1);
    await world.network.pass(301);
    expect([world.server.halfOpenCount, world.server.connectionCount]).toEqual([0, 0]);
    expect(world.server.counters.handshakeTimeouts).toBe(1);
  });

  it("asks a source whose handshake failed for its address the next time", async () => {
    await using world = await World.open(1, { lossRate: 0, delayMs: 10 }, { handshakeMs: 300 });
    const dialling = world.dial(200);
    while (world.server.halfOpenCount === 0) await new Promise((resolve) => setImmediate(resolve));
    world.network.quality = { lossRate: 1, delayMs: 10 };
    await dialling;
    await world.network.pass(301);
    world.network.quality = { lossRate: 0, delayMs: 10 };
    const client = await world.dial(500);
    expect(client && (await world.call(client, "hello"))).toBe("hello");
    // More than one where the first answer comes just when the question is repeated.
    expect(world.server.counters.retries).toBeGreaterThan(0);
    expect(world.server.counters).toMatchObject({ accepted: 2, admitted: 1 });
  });
});
