import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hex } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { bytes, idOf, World } from "./support.ts";

const { Audit, Vault } = METHODS;

let world: World;

beforeEach(async () => {
  world = await World.open();
  for (const path of ["shared/a", "shared/b", "shared/c"]) {
    await world.call("owner", Vault.Put, { path, value: bytes("1") });
  }
});

afterEach(() => world[Symbol.asyncDispose]());

type Entry = Awaited<ReturnType<(typeof Audit.Read.response)["decode"]>>;

async function read(request: Parameters<typeof Audit.Read.request.encode>[0]): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of world.stream("owner", Audit.Read, request)) entries.push(entry);
  return entries;
}

describe("the audit log, as who may read it gets it", () => {
  it("gives the newest, oldest first, with who, what and the hash that the next record names", async () => {
    const entries = await read({ newest: 4 });
    expect(entries.map(({ event }) => `${event?.action} ${event?.resource} ${event?.outcome}`)).toEqual([
      "secret:write secret:shared/a done",
      "secret:write secret:shared/b done",
      "secret:write secret:shared/c done",
      "audit:read audit-log allowed",
    ]);
    expect(entries[0]).toMatchObject({ principalName: "owner", event: { principal: idOf("owner") } });
    const kept = await world.audited();
    for (const { sequence, hash } of entries) {
      expect(hex(kept.find((each) => each.sequence === sequence)?.hash ?? bytes(""))).toBe(hex(hash));
    }
  });

  it("goes on from a sequence", async () => {
    const [first, second] = await read({ newest: 3 });
    const later = await read({ after: first?.sequence ?? 0 });
    expect(later[0]?.sequence).toBe(second?.sequence);
    expect(await read({ after: 1_000_000 })).toEqual([]);
  });

  it("refuses more than 10 000 at once, and a sequence that is none", async () => {
    await expect(read({ newest: 10_001 })).rejects.toMatchObject({ code: "usage.bad-argument" });
    await expect(read({ after: 2 ** 60 })).rejects.toBeInstanceOf(Error);
  });

  it("is followed: each record once, in order, those of the change over from file to memory too", async () => {
    const stream = world.stream("owner", Audit.Read, { newest: 2, follow: true });
    const seen: string[] = [];
    const next = async (): Promise<void> => {
      const { value } = await stream.next();
      seen.push(`${value?.event?.action ?? ""} ${value?.event?.resource ?? ""}`);
    };
    await next();
    await world.call("owner", Vault.Put, { path: "shared/d", value: bytes("1") });
    await world.call("owner", Vault.Get, { path: "shared/d" });
    for (let count = 0; count < 3; count += 1) await next();
    expect(seen).toEqual([
      "secret:write secret:shared/c",
      "audit:read audit-log",
      "secret:write secret:shared/d",
      "secret:reveal secret:shared/d",
    ]);
    await stream.return?.(undefined);
  });

  it("ends with rpc.overloaded for a follower that does not read, which then goes on from where it was", async () => {
    const stream = world.stream("owner", Audit.Read, { newest: 1, follow: true });
    await stream.next();
    await world.call("owner", Vault.Put, { path: "shared/e", value: bytes("1") });
    expect((await stream.next()).value?.event?.resource).toBe("secret:shared/e");
    const gets = Array.from({ length: 1_100 }, async () => {
      await world.parts.audit.append({ action: "secret:list", resource: "folder:", outcome: "allowed" });
    });
    await Promise.all(gets);
    const drain = async (): Promise<number> => {
      let last = 0;
      for await (const { sequence } of { [Symbol.asyncIterator]: () => stream }) last = sequence;
      return last;
    };
    await expect(drain()).rejects.toMatchObject({ code: "rpc.overloaded", retryAfterMs: 1_000 });
  });
});
