import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GatehouseError, LIMITS } from "../../src/core/index.ts";
import type { Admission, ServerHandshake } from "../../src/quic/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { RawQuicClient } from "../support/raw-quic-client.ts";
import { Endpoints, PAIRING, REQUESTS, recording, roundTrip } from "./endpoints.ts";

let endpoints: Endpoints;
beforeAll(() => {
  endpoints = new Endpoints();
});
afterAll(() => endpoints[Symbol.dispose]());

const hello = Buffer.from("hello");
const until = async (isDone: () => boolean): Promise<void> => {
  for (let turn = 0; turn < 2_000 && !isDone(); turn += 1)
    await new Promise((resolve) => setTimeout(resolve, 1));
};

describe("a resumed connection", () => {
  it("carries a request in its first flight, marked as early, and is judged twice", async () => {
    const { admission, heard } = recording();
    const judged: ServerHandshake[] = [];
    await using door = await endpoints.listen({
      admit: (handshake) => {
        judged.push(handshake);
        return admission;
      },
    });
    const tls = await endpoints.tls();
    const session = await endpoints.ticket(door.address, tls);
    await using client = await endpoints.dial(door.address, { tls, session });
    expect([client.connection.isEarly, client.connection.isOpen]).toEqual([true, false]);
    expect(await roundTrip(client, hello)).toEqual(hello);
    expect(heard.at(-1)).toEqual({ text: "hello", isEarlyData: true });
    expect((await client.connection.opened).isResumed).toBe(true);
    await until(() => judged.length === 3);
    expect(judged.map(({ isEarlyData, isResumed }) => [isEarlyData, isResumed])).toEqual([
      [false, false],
      [true, true],
      [false, true],
    ]);
    expect(judged[1]?.certificates).toEqual(judged[0]?.certificates);
    expect(await roundTrip(client, Buffer.from("later"))).toEqual(Buffer.from("later"));
    expect(heard.at(-1)).toEqual({ text: "later", isEarlyData: false });
    expect(door.counters).toMatchObject({ earlyData: 1, admitted: 2, refused: 0 });
    expect(door.halfOpenCount).toBe(0);
  });

  it("is not heard when its device is not let in any more, whatever it says early", async () => {
    const { admission, heard } = recording();
    let verdict: Admission = admission;
    await using door = await endpoints.listen({ admit: () => verdict });
    const tls = await endpoints.tls();
    const session = await endpoints.ticket(door.address, tls);
    const error = new GatehouseError("device.revoked", "this device was revoked");
    verdict = { kind: "refused", cause: "device.revoked", error };
    const before = heard.length;
    await using client = await endpoints.dial(door.address, { tls, session });
    expect(client.connection.isEarly).toBe(true);
    await expect(roundTrip(client, hello)).rejects.toMatchObject({ code: "device.revoked" });
    expect(heard.length).toBe(before);
    expect(door.counters).toMatchObject({ earlyData: 1, refused: 1 });
  });

  it("leaves nothing half-open behind when its client leaves with the first answer", async () => {
    await using door = await endpoints.listen();
    const tls = await endpoints.tls();
    for (let time = 0; time < 10; time += 1) {
      const session = await endpoints.ticket(door.address, tls);
      await using client = await endpoints.dial(door.address, { tls, session });
      await roundTrip(client, hello);
    }
    await until(() => door.halfOpenCount === 0);
    expect(door.halfOpenCount).toBe(0);
    expect(door.counters).toMatchObject({ failedHandshakes: 0, earlyData: 10, retries: 0 });
  });

  it("is refused when its device lost its place between its early data and the end of its handshake", async () => {
    const { admission } = recording();
    const error = new GatehouseError("device.revoked", "this device was revoked");
    let isSecond = false;
    await using door = await endpoints.listen({
      admit: ({ isEarlyData, isResumed }) =>
        isResumed && !isEarlyData && isSecond
          ? { kind: "refused", cause: "device.revoked", error }
          : admission,
    });
    const tls = await endpoints.tls();
    const session = await endpoints.ticket(door.address, tls);
    isSecond = true;
    await using client = await endpoints.dial(door.address, { tls, session });
    await roundTrip(client, hello).catch(() => undefined);
    expect((await client.connection.closed).code).toBe("device.revoked");
  });

  it("answers the same request after all when the server has forgotten its tickets", async () => {
    const { admission, heard } = recording();
    const tls = await endpoints.tls();
    let session: Uint8Array;
    {
      await using before = await endpoints.listen();
      session = await endpoints.ticket(before.address, tls);
    }
    await using door = await endpoints.listen({ admit: () => admission });
    await using client = await endpoints.dial(door.address, { tls, session });
    expect(await roundTrip(client, hello)).toEqual(hello);
    expect(heard).toEqual([{ text: "hello", isEarlyData: false }]);
    expect((await client.connection.opened).isResumed).toBe(false);
    expect(door.counters.earlyData).toBe(0);
  });

  it("gets no further with a ticket of the strict context while a pairing window is open", async () => {
    await using door = await endpoints.listen();
    const tls = await endpoints.tls();
    const session = await endpoints.ticket(door.address, tls);
    using _window = door.openPairing(PAIRING);
    await using client = await endpoints.dial(door.address, { tls, session });
    expect(await roundTrip(client, hello)).toEqual(hello);
    expect((await client.connection.opened).isResumed).toBe(false);
    expect(door.counters.earlyData).toBe(0);
  });
});

describe("a replayed first flight", () => {
  it("reaches streams as early data only, is counted, and keeps a place no longer than a handshake may take", async () => {
    const { admission, heard } = recording();
    const clock = new ManualClock();
    await using door = await endpoints.listen({ admit: () => admission, clock });
    const options = { remote: door.address, identity: endpoints.device, alpn: REQUESTS };
    using first = await RawQuicClient.open(options);
    await first.until(() => first.connection.session() !== null);
    using client = await RawQuicClient.open({ ...options, session: first.connection.session() ?? hello });
    const initial = client.take();
    client.connection.streamSend(0, hello, true);
    const flight = [...initial, ...client.take()];
    await client.send(flight);
    await until(() => heard.length === 1);

    // While its connection lives a copy is a duplicate; once that has ended its first id is remembered for a while.
    using thief = await RawQuicClient.open(options);
    await thief.send(flight);
    client.connection.close(true, 0, Buffer.alloc(0));
    await client.send(client.take());
    clock.advance(LIMITS.handshakeMs);
    await until(() => {
      clock.advance(1);
      return door.connectionCount === 1;
    });
    expect([heard.length, door.counters.earlyData, door.counters.handshakeTimeouts]).toEqual([1, 1, 1]);
    await thief.send(flight);
    await until(() => door.counters.unroutable > 0);
    expect(heard.length).toBe(1);

    // Later, from another address, it begins anew.
    clock.advance(LIMITS.failureMs + 1);
    await thief.send(flight);
    await until(() => heard.length === 2);
    expect(heard).toEqual(Array(2).fill({ text: "hello", isEarlyData: true }));
    expect(door.counters).toMatchObject({ earlyData: 2, admitted: 1 });
    expect(door.halfOpenCount).toBe(1);
    clock.advance(LIMITS.handshakeMs + 1);
    expect(door.counters.handshakeTimeouts).toBe(2);
  });
});
