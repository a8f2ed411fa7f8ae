import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
// Tickets have no face of their own outside of the room: what uses them is a connection.
import { forgetTickets, Tickets } from "../../src/client/link/tickets.ts";
import { LIMITS, silentLogger } from "../../src/core/index.ts";
import { LABELS } from "../../src/crypto/index.ts";
import { type DeviceId, DeviceIdentity } from "../../src/identity/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const random = new SeededRandom(11);
const key = DeviceIdentity.generate(random).deriveKey(LABELS.ticketKey);
const idOf = (): DeviceId => DeviceIdentity.generate(random).id;
const [gatehouseId, otherId] = [idOf(), idOf()];
const scope = {
  gatehouseId,
  certificate: new Uint8Array(300).fill(1),
  caCertificates: [new Uint8Array(200).fill(2), new Uint8Array(200).fill(3)],
};
const session = (fill: number): Uint8Array => new Uint8Array(1_000).fill(fill);
const NOTHING = { session: undefined, rttMs: undefined };

let root: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "gatehouse-tickets-"));
});
afterAll(async () => {
  await rm(root, { recursive: true });
});

/** A home's ticket folder, and processes that use it. */
function home() {
  count += 1;
  const dir = join(root, `tickets-${count}`);
  const clock = new ManualClock();
  const process = (): Tickets => new Tickets({ dir, key, clock, random, logger: silentLogger });
  const filesOf = async (id: DeviceId): Promise<string[]> =>
    (await readdir(join(dir, id)).catch((): string[] => [])).map((name) => join(dir, id, name)).sort();
  return { dir, clock, process, files: () => filesOf(gatehouseId) };
}

async function saved(tickets: Tickets, ...fills: readonly number[]): Promise<void> {
  for (const fill of fills) tickets.save(scope, { session: session(fill), rttMs: 12.5 });
  await tickets.settled();
}

describe("tickets", () => {
  it("are used once each, the newest first, by the process that got them", async () => {
    const tickets = home().process();
    expect(await tickets.take(scope)).toEqual(NOTHING);
    tickets.save(scope, { session: session(1), rttMs: undefined });
    tickets.save(scope, { session: session(2), rttMs: 12.5 });
    expect(await tickets.take(scope)).toEqual({ session: session(2), rttMs: 12.5 });
    expect(await tickets.take(scope)).toEqual({ session: session(1), rttMs: 12.5 });
    expect(await tickets.take(scope)).toEqual({ session: undefined, rttMs: 12.5 });
  });

  it("are there for the next process, with the round-trip time, in files of this user alone", async () => {
    const { process, files, dir, clock } = home();
    const first = process();
    await saved(first, 1);
    clock.advance(1);
    await saved(first, 2);
    const paths = await files();
    expect(paths).toHaveLength(2);
    for (const path of paths) expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    const next = process();
    expect(await next.take(scope)).toEqual({ session: session(2), rttMs: 12.5 });
    expect(await next.take(scope)).toMatchObject({ session: session(1) });
    expect(await next.take(scope)).toMatchObject({ session: undefined });
    expect(await files()).toEqual([]);
  });

  it("go to one of several processes that ask at once", async () => {
    const { process } = home();
    const owner = process();
    await saved(owner, 1, 2, 3, 4);
    const takers = [owner, ...Array.from({ length: 7 }, process)];
    const taken = await Promise.all(takers.map(async (tickets) => (await tickets.take(scope)).session?.[0]));
    const fills = taken.filter((fill) => fill !== undefined);
    expect(new Set(fills).size).toBe(fills.length);
    expect(fills.length).toBeGreaterThan(0);
  });

  it("of two gatehouses never cross, whoever puts them in each other's place", async () => {
    const { process, files, dir } = home();
    const other = { ...scope, gatehouseId: otherId };
    const tickets = process();
    await saved(tickets, 1);
    expect(await tickets.take(other)).toEqual(NOTHING);
    tickets.save(other, { session: session(9), rttMs: 3 });
    await tickets.settled();
    const [path = ""] = await files();
    await writeFile(join(dir, otherId, "ffffffffffff-0000000000000000"), await readFile(path), {
      mode: 0o600,
    });
    const next = process();
    expect(await next.take(other)).toMatchObject({ session: session(9) });
    expect(await next.take(other)).toMatchObject({ session: undefined });
  });

  it.each([
    ["certificate", { ...scope, certificate: new Uint8Array(300).fill(9) }],
    ["authority", { ...scope, caCertificates: scope.caCertificates.slice(0, 1) }],
  ])("got under another %s are dropped, in memory and in the home", async (_what, changed) => {
    const { process, files } = home();
    const tickets = process();
    await saved(tickets, 1);
    expect(await tickets.take(changed)).toEqual({ session: undefined, rttMs: 12.5 });
    expect(await tickets.take(scope)).toMatchObject({ session: undefined });
    await saved(tickets, 2);
    expect(await process().take(changed)).toEqual({ session: undefined, rttMs: 12.5 });
    expect(await files()).toEqual([]);
  });

  it("that are too old, or from a future that the clock has left, are dropped", async () => {
    const { process, clock } = home();
    await saved(process(), 1);
    clock.advance(LIMITS.ticketMs);
    expect(await process().take(scope)).toMatchObject({ session: undefined });
    const tickets = process();
    await saved(tickets, 2);
    clock.stepWall(-3_600_000);
    expect(await tickets.take(scope)).toMatchObject({ session: undefined });
    expect(await process().take(scope)).toMatchObject({ session: undefined });
  });

  it("are few, and the oldest go first", async () => {
    const { process, files, clock } = home();
    const tickets = process();
    for (let fill = 1; fill <= 20; fill += 1) {
      clock.advance(1);
      await saved(tickets, fill);
    }
    expect(await files()).toHaveLength(LIMITS.ticketsPerGatehouse);
    const taken: unknown[] = [];
    for (let turn = 0; turn < 6; turn += 1) taken.push((await tickets.take(scope)).session?.[0]);
    expect(taken).toEqual([20, 19, 18, 17, undefined, undefined]);
  });

  it("that are no tickets' size are not kept", async () => {
    const { process, files } = home();
    const tickets = process();
    tickets.save(scope, { session: new Uint8Array(), rttMs: 1 });
    tickets.save(scope, { session: new Uint8Array(LIMITS.ticketBytes + 1), rttMs: 1 });
    await tickets.settled();
    expect(await tickets.take(scope)).toEqual(NOTHING);
    expect(await files()).toEqual([]);
    await saved(tickets, 1);
  });

  it("that are damaged in any way count as none", async () => {
    const { process, files, dir } = home();
    await saved(process(), 1);
    const [path = ""] = await files();
    const whole = await readFile(path);
    const planted = join(dir, gatehouseId, "000000000001-0000000000000000");
    const reads = async (bytes: Uint8Array): Promise<Uint8Array | undefined> => {
      await writeFile(planted, bytes, { mode: 0o600 });
      return (await process().take(scope)).session;
    };
    await process().take(scope);
    expect(await reads(whole)).toEqual(session(1));
    for (let length = 0; length < whole.length; length += length < 100 ? 1 : 97) {
      expect(await reads(whole.subarray(0, length))).toBeUndefined();
    }
    expect(await reads(Buffer.concat([whole, Buffer.of(0)]))).toBeUndefined();
    for (let bit = 0; bit < whole.length * 8; bit += bit < 512 ? 1 : 61) {
      const flipped = Buffer.from(whole);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(await reads(flipped)).toBeUndefined();
    }
    expect(await reads(Buffer.alloc(200_000))).toBeUndefined();
    expect(await files()).toEqual([]);
  });

  it("that another identity has sealed count as none: they could play the gatehouse", async () => {
    const { process, dir, clock } = home();
    const forger = DeviceIdentity.generate(random).deriveKey(LABELS.ticketKey);
    await saved(new Tickets({ dir, key: forger, clock, random, logger: silentLogger }), 1);
    expect(await process().take(scope)).toEqual(NOTHING);
  });

  it("lying where others may write are not believed", async () => {
    const { process, dir } = home();
    await saved(process(), 1);
    await chmod(join(dir, gatehouseId), 0o770);
    expect(await process().take(scope)).toEqual(NOTHING);
    await chmod(join(dir, gatehouseId), 0o700);
    expect(await process().take(scope)).toMatchObject({ session: session(1) });
  });

  it("last as long as the process where nothing can be written", async () => {
    count += 1;
    const dir = join(root, `file-${count}`);
    await writeFile(dir, "in the way");
    const tickets = new Tickets({ dir, key, clock: new ManualClock(), random, logger: silentLogger });
    await saved(tickets, 1);
    expect(await tickets.take(scope)).toMatchObject({ session: session(1) });
    expect(await tickets.take(scope)).toMatchObject({ session: undefined });
  });

  it("of a gatehouse that was left are removed, and no process uses them then", async () => {
    const { process, files, dir } = home();
    const tickets = process();
    await saved(tickets, 1, 2);
    await forgetTickets(dir, gatehouseId);
    await forgetTickets(dir, otherId);
    expect(await files()).toEqual([]);
    expect(await tickets.take(scope)).toMatchObject({ session: undefined });
  });
});
