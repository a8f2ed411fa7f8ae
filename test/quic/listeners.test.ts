import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { silentLogger } from "../../src/core/index.ts";
import type { SocketAddress } from "../../src/quic/index.ts";
import { Listeners } from "../../src/quic/listeners.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { MemoryNetwork } from "../support/memory-network.ts";
import { settled } from "../support/memory-wire.ts";
import { Endpoints, roundTrip } from "./endpoints.ts";

let endpoints: Endpoints;
beforeAll(() => {
  endpoints = new Endpoints();
});
afterAll(() => endpoints[Symbol.dispose]());

const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === "::1"),
);

describe("a server on several addresses", () => {
  it("serves each of them, IPv6 too", async () => {
    const hosts = ["127.0.0.1", "127.0.0.2", ...(hasIpv6 ? ["::1"] : [])];
    await using door = await endpoints.listen({ listen: hosts.map((host) => ({ host, port: 0 })) });
    expect(door.addresses.map(({ host }) => host)).toEqual(hosts);
    for (const address of door.addresses) {
      await using client = await endpoints.dial(address);
      expect((await roundTrip(client, Buffer.from(address.host))).toString()).toBe(address.host);
    }
  });

  it("binds a wildcard to every address of the machine by itself, on one port, and answers from the one that was asked", async () => {
    await using door = await endpoints.listen({ listen: [{ host: "0.0.0.0", port: 0 }] });
    const hosts = door.addresses.map(({ host }) => host);
    expect(hosts).toContain("127.0.0.1");
    expect(hosts).not.toContain("0.0.0.0");
    expect(new Set(door.addresses.map(({ port }) => port)).size).toBe(1);
    for (const address of door.addresses) {
      // The client's socket is connected: an answer from another address would not reach it.
      await using client = await endpoints.dial(address);
      expect((await roundTrip(client, Buffer.from("hello"))).toString()).toBe("hello");
    }
  });

  it("refuses to start when one of its addresses is taken", async () => {
    await using door = await endpoints.listen();
    const listen = [{ host: "127.0.0.1", port: 0 }, door.address];
    await expect(endpoints.listen({ listen })).rejects.toMatchObject({ code: "quic.address-in-use" });
  });

  it("follows the machine's addresses as they come and go", async () => {
    const clock = new ManualClock();
    const network = new MemoryNetwork(clock, 1).host("10.0.0.1", "10.0.0.2");
    const lost: SocketAddress[] = [];
    await using listeners = await Listeners.open({
      ...{ listen: [{ host: "0.0.0.0", port: 7_443 }], network, clock, logger: silentLogger },
      arrived: () => undefined,
      lost: ({ address }) => void lost.push(address),
    });
    const hosts = () => listeners.sockets.map(({ address }) => address.host);
    expect(hosts()).toEqual(["10.0.0.1", "10.0.0.2"]);
    network.addresses.splice(0, 1, "10.0.0.3");
    clock.advance(5_000);
    await settled();
    expect(hosts()).toEqual(["10.0.0.2", "10.0.0.3"]);
    expect(lost.map(({ host }) => host)).toEqual(["10.0.0.1"]);
  });
});
