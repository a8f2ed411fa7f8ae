import { execFileSync } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect, METHODS } from "../../src/client/index.ts";
import { GatehouseError } from "../../src/core/index.ts";
import type { Daemon } from "../../src/daemon/index.ts";
import { PairedHomes } from "../client/paired-homes.ts";

let homes: PairedHomes;
let daemon: Daemon;

/** What a device of the gatehouse is answered: nothing wrong, or the code of what is. */
async function ping(home: string): Promise<string> {
  try {
    await using client = await connect({ home: homes.home(home), timeoutMs: 5_000 });
    await client.call(METHODS.Health.Ping, {}, { timeoutMs: 5_000 });
    return "served";
  } catch (failure) {
    return failure instanceof GatehouseError ? failure.code : String(failure);
  }
}

async function asOwner<Answer>(ask: (client: Awaited<ReturnType<typeof connect>>) => Promise<Answer>) {
  await using client = await connect({ home: homes.home("hall") });
  return await ask(client);
}

const states = () =>
  asOwner(async (client) => {
    const { devices } = await client.call(METHODS.Device.List, {});
    return devices.map(({ name, state }) => `${name} ${state}`);
  });
const revoke = (device: string) => asOwner((client) => client.call(METHODS.Device.Revoke, { device }));
const release = (device: string) => asOwner((client) => client.call(METHODS.Device.Release, { device }));

function copy(from: string, to: string): void {
  execFileSync("cp", ["-a", from, to]);
}

beforeEach(async () => {
  homes = await PairedHomes.create();
  daemon = await homes.serve("hall");
  await homes.pair(daemon, "phone");
  await homes.pair(daemon, "lamp");
});
afterEach(() => homes[Symbol.asyncDispose]());

const backup = () => join(homes.dir, "backup");
const stop = () => daemon[Symbol.asyncDispose]();
const port = () => Number(daemon.ready.quic.split(":")[1]);
const start = async () => {
  daemon = await homes.serve("hall", port());
};

describe("a gatehouse", () => {
  it("that is started again where it was holds nobody", async () => {
    await revoke("lamp");
    await stop();
    await start();
    expect(await states()).toEqual(["hall active", "phone active", "lamp revoked"]);
    expect(await ping("phone")).toBe("served");
  });

  it("that is restored onto its own home lets nobody in before release, least of all who was revoked since", async () => {
    await stop();
    copy(homes.home("hall"), backup());
    await start();
    await revoke("lamp");
    expect(await ping("lamp")).toBe("device.revoked");
    await stop();
    await rm(homes.home("hall"), { recursive: true });
    copy(backup(), homes.home("hall"));
    await start();
    expect(await states()).toEqual(["hall active", "phone held", "lamp held"]);
    expect([await ping("phone"), await ping("lamp")]).toEqual(["device.held", "device.held"]);
    await release("phone");
    expect([await ping("phone"), await ping("lamp")]).toEqual(["served", "device.held"]);
  });

  it("whose files were put back in place, one over the other, does the same", async () => {
    await stop();
    copy(homes.home("hall"), backup());
    await start();
    await revoke("lamp");
    await stop();
    await rm(join(homes.home("hall"), "vault"), { recursive: true, force: true });
    copy(`${backup()}/.`, homes.home("hall"));
    await start();
    expect(await states()).toEqual(["hall active", "phone held", "lamp held"]);
  });

  it("whose vault and audit log alone were put back is known by its boot record", async () => {
    await stop();
    await mkdir(backup(), { mode: 0o700 });
    for (const folder of ["vault", "audit"]) copy(join(homes.home("hall"), folder), backup());
    await start();
    await revoke("lamp");
    await stop();
    // The folders themselves stay, and this machine's mark knows of nothing yet: the boot record is all that tells.
    const home = homes.home("hall");
    execFileSync("sh", ["-c", `rm -r ${home}/vault/* ${home}/audit/* && cp -a ${backup()}/. ${home}/`]);
    const mark = join(homes.dir, "keys", `${daemon.ready.deviceId}.mark`);
    const noted = JSON.parse(await readFile(mark, "utf8")) as { readonly folder: string };
    await writeFile(mark, JSON.stringify({ ...noted, epoch: 0 }));
    await start();
    expect(await states()).toEqual(["hall active", "phone held", "lamp held"]);
  });

  it("that was copied to another machine, with its key, holds everybody there", async () => {
    await stop();
    copy(homes.home("hall"), backup());
    await using elsewhere = await PairedHomes.create();
    await mkdir(join(elsewhere.dir, "keys"), { mode: 0o700 });
    execFileSync("sh", ["-c", `cp -a ${homes.dir}/keys/*.kek ${elsewhere.dir}/keys/`]);
    copy(backup(), elsewhere.home("hall"));
    await using _copied = await elsewhere.serve("hall", port());
    expect([await ping("phone"), await ping("lamp")]).toEqual(["device.held", "device.held"]);
  });

  it.each([
    ["is not UTF-8", Buffer.of(0xfb, 0x22)],
    ["is no JSON", Buffer.from("{")],
    ["says something else", Buffer.from("[1]")],
  ])("whose mark %s starts, and holds as if it had none", async (_, bytes) => {
    await stop();
    await writeFile(join(homes.dir, "keys", `${daemon.ready.deviceId}.mark`), bytes);
    await start();
    expect(await states()).toEqual(["hall active", "phone held", "lamp held"]);
  });

  it("that was held once is not held again by a restart, and a second restore counts anew", async () => {
    await stop();
    copy(homes.home("hall"), backup());
    await rm(homes.home("hall"), { recursive: true });
    copy(backup(), homes.home("hall"));
    await start();
    await release("phone");
    await release("lamp");
    await stop();
    await start();
    expect(await states()).toEqual(["hall active", "phone active", "lamp active"]);
    await stop();
    await rm(homes.home("hall"), { recursive: true });
    copy(backup(), homes.home("hall"));
    await start();
    expect(await states()).toEqual(["hall active", "phone held", "lamp held"]);
  });
});
