import { createSocket, type Socket } from "node:dgram";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAddress } from "../../src/client/address.ts";
import { connect, Device, METHODS, Remotes } from "../../src/client/index.ts";
import type { Daemon } from "../../src/daemon/index.ts";
import { homeLayout } from "../../src/files/index.ts";
import { UdpRelay } from "../support/udp-relay.ts";
import { command, PairedHomes } from "./paired-homes.ts";

const EARLY = { isResumed: true, earlyData: "accepted" };
const COLD = { isResumed: false, earlyData: "none" };
const PUT_OFF = { isResumed: false, earlyData: "rejected" };

let homes: PairedHomes;
let hall: Daemon;
beforeAll(async () => {
  homes = await PairedHomes.create();
  hall = await homes.serve("hall");
  await homes.pair(hall, "phone", "owner");
});
afterAll(() => homes[Symbol.asyncDispose]());

async function ticketFiles(home: string): Promise<string[]> {
  const { ticketsDir } = homeLayout(home);
  const names = await readdir(ticketsDir, { recursive: true }).catch((): string[] => []);
  return names.filter((name) => name.includes("/")).map((name) => join(ticketsDir, name));
}

describe("coming back", () => {
  it("takes one round trip after the first time, in this process and in the next", async () => {
    const home = homes.home("phone");
    const device = await Device.open(home);
    expect((await command(device)).handshake).toEqual(COLD);
    expect((await command(device)).handshake).toEqual(EARLY);
    expect((await command(home)).handshake).toEqual(EARLY);
    expect((await command(home)).handshake).toEqual(EARLY);
    expect(await ticketFiles(home)).not.toEqual([]);
    expect(hall.earlyData).toMatchObject({ replayed: 0, full: 0, withSideEffects: 0 });
  });

  it("changes nothing before the handshake is over", async () => {
    const home = homes.home("phone");
    await command(home);
    const before = hall.earlyData;
    await using client = await connect({ home });
    const stored = await client.call(METHODS.Vault.Put, { path: "phone/a", value: Buffer.from("x") });
    expect(stored.version).toBe(1);
    expect(client.handshake).toEqual({ isResumed: true, earlyData: "none" });
    expect(hall.earlyData).toEqual(before);
    expect((await client.call(METHODS.Vault.Get, { path: "phone/a" })).value).toEqual(
      new Uint8Array(Buffer.from("x")),
    );
  });

  it("can be had without early data, or without tickets at all", async () => {
    const home = homes.home("phone");
    await command(home);
    for (const [resumption, isResumed] of [
      ["handshake", true],
      ["none", false],
    ] as const) {
      await using client = await connect({ home, resumption });
      await client.call(METHODS.Health.Ping, {});
      expect(client.handshake).toEqual({ isResumed, earlyData: "none" });
    }
  });

  it("with tickets that somebody has damaged costs no more than the round trip", async () => {
    const home = homes.home("phone");
    await command(home);
    for (const path of await ticketFiles(home)) {
      const bytes = await readFile(path);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      await writeFile(path, bytes);
    }
    expect((await command(home)).handshake).toEqual(COLD);
    expect((await command(home)).handshake).toEqual(EARLY);
  });

  it("to a gatehouse that has started anew answers early calls all the same", async () => {
    await using shed = await homes.serve("shed");
    await homes.pair(shed, "tablet");
    await command(homes.home("tablet"));
    await using again = await homes.restart("shed", shed);
    expect((await command(homes.home("tablet"))).handshake).toEqual(PUT_OFF);
    expect((await command(homes.home("tablet"))).handshake).toEqual(EARLY);
    expect(again.earlyData).toMatchObject({ accepted: 1 });
  });

  it("with the ticket of another gatehouse is not tried, wherever the ticket lies", async () => {
    await using shed = await homes.serve("barn");
    await homes.pair(shed, "both");
    await homes.pair(hall, "both");
    const home = homes.home("both");
    await command(home, "barn");
    const [ticket = ""] = await ticketFiles(home);
    const { ticketsDir } = homeLayout(home);
    expect((await command(home, "hall")).handshake).toEqual(COLD);
    for (const path of await ticketFiles(home)) {
      if (path !== ticket) await writeFile(path, await readFile(ticket));
    }
    expect((await command(home, "hall")).handshake).toEqual(COLD);
    expect((await command(home, "barn")).handshake).toEqual(EARLY);
    await Remotes.of(home).remove("barn");
    expect(await readdir(join(ticketsDir, shed.ready.deviceId))).toEqual([]);
  });

  it("under a certificate that was renewed begins anew", async () => {
    await homes.pair(hall, "renewer");
    const home = homes.home("renewer");
    await command(home);
    expect((await command(home)).handshake).toEqual(EARLY);
    {
      await using client = await connect({ home });
      await client.renew();
    }
    expect((await command(home)).handshake).toEqual(COLD);
    expect((await command(home)).handshake).toEqual(EARLY);
  });

  it("is refused to a device that was revoked meanwhile, which is told so", async () => {
    await homes.pair(hall, "lost");
    const home = homes.home("lost");
    const device = await Device.open(home);
    await command(device);
    {
      await using owner = await connect({ home: homes.home("hall") });
      await owner.call(METHODS.Device.Revoke, { device: device.id });
    }
    const before = hall.earlyData;
    await expect(command(device)).rejects.toMatchObject({ code: "device.revoked", exitCode: 5 });
    await expect(command(home)).rejects.toMatchObject({ code: "device.revoked" });
    expect(hall.earlyData).toEqual(before);
  });

  it("to nobody at all says so, with a ticket as without one", async () => {
    const attic = await homes.serve("attic");
    await homes.pair(attic, "wanderer");
    await command(homes.home("wanderer"));
    await attic[Symbol.asyncDispose]();
    await expect(command(homes.home("wanderer"))).rejects.toMatchObject({ code: "quic.unreachable" });
    await expect(command(homes.home("wanderer"))).rejects.toMatchObject({ code: "quic.unreachable" });
  });
});

describe("a first flight that somebody sends again", () => {
  it("is not answered twice, and is counted", async () => {
    const door = parseAddress(hall.ready.quic);
    await homes.pair(hall, "watched");
    const home = homes.home("watched");
    await command(home);
    await using relay = await UdpRelay.open(door.port);
    await Remotes.of(home).set("hall", { address: relay.address });
    const { accepted = 0 } = hall.earlyData ?? {};
    expect((await command(home)).handshake).toEqual(EARLY);
    expect(hall.earlyData).toMatchObject({ accepted: accepted + 1, replayed: 0 });

    // The door remembers for some seconds which first flights it has seen the end of, and asks whoever failed lately to
    // prove an address: each try comes from another one.
    const thieves: Socket[] = [];
    await expect
      .poll(
        () => {
          const thief = createSocket("udp4").bind(0, `127.0.0.${10 + thieves.length}`);
          thieves.push(thief);
          for (const datagram of relay.captured) thief.send(datagram, door.port, door.host);
          return hall.earlyData?.replayed;
        },
        { interval: 250, timeout: 15_000 },
      )
      .toBeGreaterThan(0);
    for (const thief of thieves) thief.close();
    expect(hall.earlyData).toMatchObject({ accepted: accepted + 1 });
  }, 20_000);
});

describe("a client that is kept", () => {
  it("goes on when its gatehouse was started again, changes included", async () => {
    const den = await homes.serve("den");
    await homes.pair(den, "kept", "owner");
    await using client = await connect({ home: homes.home("kept") });
    await client.call(METHODS.Vault.Put, { path: "den/a", value: Buffer.from("1") });
    await using again = await homes.restart("den", den);
    const stored = await client.call(METHODS.Vault.Put, { path: "den/a", value: Buffer.from("2") });
    expect(stored.version).toBe(2);
    expect(again.earlyData).toMatchObject({ withSideEffects: 0 });
  });

  it("waits for a gatehouse that is being started again, with every call it was asked for meanwhile", async () => {
    const nook = await homes.serve("nook");
    await homes.pair(nook, "patient");
    await using client = await connect({ home: homes.home("patient") });
    await client.call(METHODS.Health.Ping, {});
    const restarting = homes.restart("nook", nook);
    const called = Array.from({ length: 50 }, () => client.call(METHODS.Health.Ping, {}));
    await using _again = await restarting;
    await Promise.all(called);
    expect(client.handshake.isResumed).toBe(false);
  });

  it("finds its own home's gatehouse where it listens now", async () => {
    await using yard = await homes.serve("yard");
    await using client = await connect({ home: homes.home("yard") });
    await client.call(METHODS.Health.Ping, {});
    await yard[Symbol.asyncDispose]();
    await using moved = await homes.serve("yard");
    expect(moved.ready.quic).not.toBe(yard.ready.quic);
    await expect(client.call(METHODS.Health.Ping, {})).resolves.toBeDefined();
  });

  it("keeps no ticket from a home that is gone", async () => {
    await homes.pair(hall, "brief");
    const home = homes.home("brief");
    const device = await Device.open(home);
    await command(device);
    await rm(home, { recursive: true });
    await expect(command(device)).rejects.toMatchObject({ code: "remote.none" });
  });
});
