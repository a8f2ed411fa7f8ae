/** Who once was somebody: rogue gatehouses at a client, old keys and taken rights at a gatehouse. */
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { certificatePem, createCaCertificate, issueLeaf } from "../../src/certs/index.ts";
import { type Client, connect, Device, METHODS, openHomeIdentity, Remotes } from "../../src/client/index.ts";
import { isGatehouseError, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { generateTlsKey, tlsKeyPem, tlsPublicKey } from "../../src/crypto/index.ts";
import { homeLayout } from "../../src/files/index.ts";
import { formatAddress, QuicServer } from "../../src/quic/index.ts";
import { PairedHomes } from "./paired-homes.ts";

let homes: PairedHomes;

beforeEach(async () => {
  homes = await PairedHomes.create();
});

afterEach(() => homes[Symbol.asyncDispose]());

const dial = (name: string, on?: string): Promise<Client> =>
  connect({ home: homes.home(name), resumption: "none", ...(on === undefined ? {} : { on }) });

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "answered";
  } catch (failure) {
    if (isGatehouseError(failure)) return failure.code;
    throw failure;
  }
}

it("a gatehouse that calls itself by another's id is never taken for that one", async () => {
  const hall = await homes.serve("hall");
  const rogue = await homes.serve(hall.ready.deviceId);
  await homes.pair(rogue, "phone", "owner");
  await homes.pair(hall, "phone", "owner");
  const remotes = Remotes.of(homes.home("phone"));
  expect((await remotes.resolve(hall.ready.deviceId)).gatehouseId).toBe(hall.ready.deviceId);
  const names = (await remotes.list()).map(({ name }) => name);
  expect(names).toEqual([`gatehouse-${rogue.ready.deviceId.substring(0, 8)}`, "hall"]);
  await using client = await dial("phone", "hall");
  await client.call(METHODS.Health.Ping, {});
  await homes.restart("hall", hall);
  const { deviceId } = await client.call(METHODS.Health.Status, {});
  expect(deviceId).toBe(hall.ready.deviceId);
}, 30_000);

it("a home's own command line talks to no server but one with that home's key, whatever the home's files say", async () => {
  const hall = await homes.serve("hall");
  const { deviceId: gatehouseId } = hall.ready;
  const layout = homeLayout(homes.home("hall"));
  const owner: Record<string, unknown> = JSON.parse(
    await readFile(join(layout.identityDir, "owner.json"), "utf8"),
  );
  const { spki } = (await openHomeIdentity(layout)).tls;
  await hall[Symbol.asyncDispose]();
  const now = systemClock.now();
  const [caKey, rogueKey] = [generateTlsKey(systemRandom), generateTlsKey(systemRandom)];
  const caCertificate = await createCaCertificate({
    key: caKey,
    gatehouseId,
    generation: 1,
    now,
    random: systemRandom,
  });
  const authority = { gatehouseId, deviceId: gatehouseId, caCertificate, caKey, now, random: systemRandom };
  const server = await issueLeaf({ ...authority, usage: "server", spki: tlsPublicKey(rogueKey) });
  const client = await issueLeaf({ ...authority, usage: "device", spki });
  let streams = 0;
  await using rogue = await QuicServer.listen({
    ...{ clock: systemClock, random: systemRandom, logger: silentLogger, alpn: "gatehouse/1" },
    ...{ caPem: certificatePem(caCertificate), listen: [{ host: "127.0.0.1", port: 0 }] },
    identity: { keyPem: tlsKeyPem(rogueKey), certificatePem: certificatePem(server.der) },
    admit: () => ({
      kind: "admitted",
      accept: (connection) =>
        connection.onStream(() => {
          streams += 1;
        }),
    }),
  });
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
  const planted = { ...owner, certificate: base64(client.der), caCertificates: [base64(caCertificate)] };
  await writeFile(join(layout.identityDir, "owner.json"), JSON.stringify(planted));
  await writeFile(layout.endpointFile, JSON.stringify({ quic: formatAddress(rogue.address), pid: 1 }));
  const asking = async (): Promise<void> => {
    await using asked = await dial("hall");
    await asked.call(METHODS.Vault.Get, { path: "a" });
  };
  expect(await codeOf(asking())).toBe("quic.wrong-server");
  expect(streams).toBe(0);
}, 30_000);

it("the default stays the gatehouse that it was, whatever that and another one come to be called", async () => {
  const hall = await homes.serve("hall");
  const other = await homes.serve("work");
  await homes.pair(hall, "phone");
  const remotes = Remotes.of(homes.home("phone"));
  await remotes.set("hall", { name: "work" });
  await remotes.setDefault("work");
  await homes.pair(hall, "phone");
  await homes.pair(other, "phone");
  expect((await remotes.resolve()).gatehouseId).toBe(hall.ready.deviceId);
}, 30_000);

it("a connection that came in with an earlier key ends when a later one is in use, and certifies nothing", async () => {
  const hall = await homes.serve("hall");
  await homes.pair(hall, "phone");
  await cp(homes.home("phone"), homes.home("thief"), { recursive: true });
  await using thief = await dial("thief");
  await thief.call(METHODS.Health.Ping, {});
  {
    await using honest = await dial("phone");
    await honest.renew({ newKey: true });
    await honest.call(METHODS.Health.Ping, {});
  }
  {
    await using honest = await dial("phone");
    await honest.call(METHODS.Health.Ping, {});
  }
  // It may come back at most, and then is told that its key is none any more.
  expect(await codeOf(thief.call(METHODS.Health.Ping, {}))).toBe("device.key-changed");
  expect(await codeOf(thief.renew())).toBe("device.key-changed");
  await using honest = await dial("phone");
  expect(await codeOf(honest.call(METHODS.Health.Ping, {}))).toBe("answered");
}, 30_000);

it("a change asked for before a revocation is not made after it", async () => {
  const hall = await homes.serve("hall");
  for (const [name, role] of [
    ["a", "owner"],
    ["b", "member"],
    ["c", "owner"],
  ] as const)
    await homes.pair(hall, name, role);
  await using a = await dial("a");
  await using c = await dial("c");
  await a.call(METHODS.Health.Ping, {});
  await c.call(METHODS.Health.Ping, {});
  const [aId, bId] = [(await Device.open(homes.home("a"))).id, (await Device.open(homes.home("b"))).id];
  // The lock is taken by a grant, the revocation waits for it, and behind that wait the grants of who is revoked.
  const first = c.call(METHODS.Device.Grant, { device: bId, role: "first" });
  const revoked = c.call(METHODS.Device.Revoke, { device: aId });
  const late = Array.from({ length: 6 }, (_, index) =>
    codeOf(a.call(METHODS.Device.Grant, { device: bId, role: `late-${index}` })),
  );
  await Promise.all([first, revoked]);
  const { devices: atOnce } = await c.call(METHODS.Device.List, {});
  const answers = await Promise.all(late);
  await delay(200);
  const { devices } = await c.call(METHODS.Device.List, {});
  const rolesIn = (list: typeof devices): readonly string[] =>
    (list.find(({ id }) => id === bId)?.roles ?? []).filter((role) => role.startsWith("late-"));
  expect(rolesIn(devices)).toEqual(rolesIn(atOnce));
  expect(answers.filter((answer) => answer === "answered").length).toBeLessThanOrEqual(
    rolesIn(devices).length,
  );
}, 30_000);

it("a pairing window asked for while the right to it was taken does not stay open", async () => {
  const hall = await homes.serve("hall");
  await homes.pair(hall, "a", "owner");
  await homes.pair(hall, "c", "owner");
  await using a = await dial("a");
  await using c = await dial("c");
  await a.call(METHODS.Health.Ping, {});
  const aId = (await Device.open(homes.home("a"))).id;
  const outcomes: string[] = [];
  for (let round = 0; round < 12; round += 1) {
    await c.call(METHODS.Device.Grant, { device: aId, role: "owner" });
    const ungrant = c.call(METHODS.Device.Ungrant, { device: aId, role: "owner" });
    // Some ask before, some after, some just when it is taken.
    await delay((round % 6) * 0.5);
    const stream = a.stream(METHODS.Pairing.Open, { uriOnly: true, role: "owner" });
    const first = await codeOf(stream.next());
    await ungrant;
    outcomes.push(first === "answered" ? await codeOf(stream.next()) : first);
  }
  // A window that stayed open would leave its stream waiting for the next event.
  for (const outcome of outcomes) expect(["authz.denied", "device.revoked"]).toContain(outcome);
}, 60_000);
