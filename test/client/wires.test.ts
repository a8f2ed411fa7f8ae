/** Two wires to a real gatehouse: UDP through a relay that can drop it, TCP straight. */
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseAddress } from "../../src/client/address.ts";
import {
  type Client,
  connect,
  type DeviceConnectOptions,
  METHODS,
  Remotes,
  type WireChange,
} from "../../src/client/index.ts";
import { WHY } from "../../src/client/link/wire.ts";
import type { Daemon } from "../../src/daemon/index.ts";
import { homeLayout } from "../../src/files/index.ts";
import { UdpRelay } from "../support/udp-relay.ts";
import { PairedHomes } from "./paired-homes.ts";

let homes: PairedHomes;
let daemon: Daemon;
let relay: UdpRelay;
const phone = (): string => homes.home("phone");

beforeAll(async () => {
  homes = await PairedHomes.create();
  daemon = await homes.serve("hall");
  relay = await UdpRelay.open(parseAddress(daemon.ready.quic).port);
  await homes.pair(daemon, "phone", "owner");
  await Remotes.of(phone()).set("hall", { address: relay.address, grpc: daemon.ready.grpc ?? "" });
});

afterAll(async () => {
  await relay[Symbol.asyncDispose]();
  await homes[Symbol.asyncDispose]();
});

/** One call over UDP, so that nothing is remembered against it. */
beforeEach(async () => {
  relay.isBlocked = false;
  await using client = await connect({ home: phone() });
  await client.call(METHODS.Health.Ping, {});
  if (client.wire !== "quic") throw new Error(`UDP does not get through: ${client.wireReason}`);
});

/** What calls went over, as a listener is told. */
class Wires {
  readonly changes: WireChange[] = [];
  #waiting: { readonly wire: string; readonly resolve: () => void } | undefined;

  readonly onWire = (change: WireChange): void => {
    this.changes.push(change);
    if (this.#waiting?.wire === change.wire) this.#waiting.resolve();
  };

  async until(wire: WireChange["wire"]): Promise<void> {
    if (this.changes.at(-1)?.wire === wire) return;
    await new Promise<void>((resolve) => {
      this.#waiting = { wire, resolve };
    });
  }
}

const dial = (options: DeviceConnectOptions = {}): Promise<Client> => connect({ home: phone(), ...options });
const put = (client: Client, path: string) =>
  client.call(METHODS.Vault.Put, { path, value: Buffer.from("v") });

describe("where UDP is dropped", () => {
  it("calls go over TCP, early ones included, and say why", async () => {
    relay.isBlocked = true;
    const wires = new Wires();
    await using client = await dial({ onWire: wires.onWire });
    // With a ticket, which there is, this one went out in early data first.
    const status = await client.call(METHODS.Health.Status, {});
    expect(status.name).toBe("hall");
    expect([client.wire, client.wireReason]).toEqual(["grpc", WHY.silent]);
    expect(wires.changes.at(-1)).toEqual({ wire: "grpc", before: "quic", reason: WHY.silent });
    await expect(put(client, "wires/a")).resolves.toMatchObject({ version: 1 });
    expect(client.rttMs === undefined || client.rttMs > 0).toBe(true);
    expect(client.handshakeMs).toBeGreaterThan(0);
  });

  it("that is remembered without a word of where it was, and forgotten when UDP is back", async () => {
    relay.isBlocked = true;
    for (let time = 0; time < 2; time += 1) {
      await using client = await dial();
      await client.call(METHODS.Health.Ping, {});
      expect(client.wire).toBe("grpc");
    }
    const noted = await readFile(homeLayout(phone()).wiresFile, "utf8");
    expect(JSON.parse(noted)).toEqual([[expect.stringMatching(/^[0-9a-f]{32}$/), expect.any(Number)]]);
    expect(noted).not.toContain(daemon.ready.deviceId);
    relay.isBlocked = false;
    {
      await using client = await dial();
      await client.call(METHODS.Health.Ping, {});
      expect(client.wire).toBe("quic");
    }
    expect(await readFile(homeLayout(phone()).wiresFile, "utf8")).toBe("[]");
  });

  it("a memory that is damaged in any way is none", async () => {
    const { writeFile } = await import("node:fs/promises");
    for (const damaged of ["", "{", "null", "[7]", '[["x"]]', "[[1,2]]", '[["a",1e99]]']) {
      await writeFile(homeLayout(phone()).wiresFile, damaged, { mode: 0o600 });
      await using client = await dial();
      await client.call(METHODS.Health.Ping, {});
      expect(client.wire).toBe("quic");
    }
  });

  it("calls that were under way on QUIC go on over TCP", async () => {
    const wires = new Wires();
    await using client = await dial({ onWire: wires.onWire });
    await client.call(METHODS.Health.Ping, {});
    relay.isBlocked = true;
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => put(client, `wires/moved-${index}`)),
    );
    expect(answers.map(({ version }) => version)).toEqual(answers.map(() => 1));
    expect(client.wire).toBe("grpc");
  });

  it("nobody is let in by TCP who would not be by UDP", async () => {
    await homes.pair(daemon, "thief");
    const thief = homes.home("thief");
    await Remotes.of(thief).set("hall", { address: relay.address, grpc: daemon.ready.grpc ?? "" });
    relay.isBlocked = true;
    await using open = await connect({ home: thief });
    await open.call(METHODS.Health.Ping, {});
    await using owner = await connect({ home: homes.home("hall") });
    const { devices } = await owner.call(METHODS.Device.List, {});
    const id = devices.find(({ name }) => name === "thief")?.id ?? "";
    await owner.call(METHODS.Device.Revoke, { device: id });
    await expect(open.call(METHODS.Health.Ping, {})).rejects.toMatchObject({ code: "device.revoked" });
    await expect(
      connect({ home: thief }).then((client) => client.call(METHODS.Health.Ping, {})),
    ).rejects.toMatchObject({ code: "device.revoked", exitCode: 5, hint: expect.stringContaining("final") });
  });

  it("a certificate is renewed over TCP", async () => {
    relay.isBlocked = true;
    const before = (await Remotes.of(phone()).resolve("hall")).certificate;
    await using client = await dial();
    await client.renew();
    expect((await Remotes.of(phone()).resolve("hall")).certificate).not.toEqual(before);
    await client.call(METHODS.Health.Ping, {});
  });
});

describe("when UDP gets through again", () => {
  it("calls go over QUIC after one probe, none of them failing, and a stream on TCP goes on", async () => {
    relay.isBlocked = true;
    const wires = new Wires();
    await using client = await dial({ onWire: wires.onWire });
    await client.call(METHODS.Health.Ping, {});
    expect(client.wire).toBe("grpc");
    const watch = client.stream(METHODS.Approvals.Watch, {}, { timeoutMs: 60_000 });
    await watch.next();
    relay.isBlocked = false;
    const back = wires.until("quic");
    let calls = 0;
    let isBack = false;
    void back.then(() => {
      isBack = true;
    });
    while (!isBack) {
      await put(client, "wires/load");
      calls += 1;
    }
    expect(wires.changes.at(-1)).toEqual({ wire: "quic", before: "grpc", reason: WHY.back });
    expect((await put(client, "wires/load")).version).toBe(calls + 1);
    await watch.return?.(undefined);
  }, 60_000);
});

describe("one wire alone", () => {
  it("is used where it is wished for, and no other", async () => {
    await using tcp = await dial({ wire: "grpc" });
    await tcp.call(METHODS.Health.Ping, {});
    expect([tcp.wire, tcp.wireReason]).toEqual(["grpc", WHY.wished]);
    relay.isBlocked = true;
    await expect(dial({ wire: "quic", resumption: "none", timeoutMs: 600 })).rejects.toMatchObject({
      code: "quic.timed-out",
    });
  });

  it("is what there is where the gatehouse serves no gRPC", async () => {
    await Remotes.of(phone()).set("hall", { grpc: "off" });
    try {
      relay.isBlocked = true;
      await expect(dial({ resumption: "none", timeoutMs: 600 })).rejects.toMatchObject({
        code: "quic.timed-out",
      });
    } finally {
      await Remotes.of(phone()).set("hall", { grpc: daemon.ready.grpc ?? "" });
    }
  });
});
