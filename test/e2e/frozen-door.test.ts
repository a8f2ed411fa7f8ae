import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect, METHODS } from "../../src/client/index.ts";
import { isLong } from "../support/effort.ts";
import { Daemon, Install, text } from "../support/gatehouse-process.ts";
import { type PairedDevice, pairDevice } from "../support/paired-device.ts";

const PROGRAM = fileURLToPath(new URL("programs/freezing-gatehouse.mjs", import.meta.url));
const BACK_WITHIN_MS = 15_000;
const SECRET = Buffer.from([...Array(256).keys()]);

let install: Install;
let listen: string;
let phone: PairedDevice;

/** Supervised, with the watchdog of the real program or, with `silenceMs`, a less patient one. */
async function serve(args: readonly string[], silenceMs?: number): Promise<Daemon> {
  const words = ["serve", "--supervise", "--json", "--listen", listen, "--home", install.home, ...args];
  const env = { ...install.env, ...(silenceMs === undefined ? {} : { SILENCE_MS: String(silenceMs) }) };
  const daemon = new Daemon(spawn(process.execPath, [PROGRAM, ...words], { env, stdio: "pipe" }));
  daemon.address = text((await daemon.event("ready"))["quic"]);
  return daemon;
}

/** The phone's ping that nobody answers; given up well before the door is back, so that it is not sent again. */
async function freeze(): Promise<void> {
  await using client = await connect({ home: phone.install.home });
  const ping = client.call(METHODS.Health.Ping, { payload: Buffer.from("freeze") }, { timeoutMs: 500 });
  await expect(ping).rejects.toMatchObject({ code: "rpc.deadline" });
}

async function freePort(): Promise<number> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}

const secret = async (): Promise<Buffer> => (await install.run(["vault", "get", "shared/kept"])).stdout;
const stateOfPhone = async (): Promise<unknown> =>
  (await install.json(["device", "show", phone.id]))["state"];
const pingOfPhone = () => phone.install.outcome(["ping", "--count", "1"]);

beforeAll(async () => {
  install = await Install.create();
  listen = `127.0.0.1:${await freePort()}`;
});
afterAll(async () => {
  await phone[Symbol.asyncDispose]();
  await install[Symbol.asyncDispose]();
});

describe("a door that a device froze", () => {
  it("is back within 15 s with everything in it, and the device is noted", { timeout: 60_000 }, async () => {
    await using daemon = await serve(["--init", "--open-pairing"]);
    phone = await pairDevice(daemon, "phone");
    await install.json(["vault", "put", "shared/kept", "--file", "-"], SECRET);
    const frozenAt = performance.now();
    await freeze();
    await daemon.event("ready", 2);
    const backAfterMs = performance.now() - frozenAt;
    console.log(`frozen door back after ${(backAfterMs / 1_000).toFixed(1)} s`);
    expect(backAfterMs).toBeLessThan(BACK_WITHIN_MS);
    expect(await secret()).toEqual(SECRET);
    const notes = join(install.home, "freezes");
    expect(JSON.parse(readFileSync(notes, "utf8"))).toMatchObject({ device: phone.id });
    expect(statSync(notes).mode & 0o777).toBe(0o600);
    expect(daemon.stderr).toContain("door-was-frozen");
    expect(await stateOfPhone()).toBe("active");
    expect(await pingOfPhone()).toEqual({ exit: 0, code: undefined });
    expect(await daemon.stop("SIGTERM")).toBe(0);
  });

  it.runIf(isLong)(
    "is shut to the device the second time, until somebody releases it",
    { timeout: 60_000 },
    async () => {
      await using daemon = await serve([], 1_000);
      await freeze();
      await daemon.event("ready", 2);
      expect(await pingOfPhone()).toEqual({ exit: 5, code: "device.quarantined" });
      expect(await stateOfPhone()).toBe("quarantined");
      expect(await install.json(["status"])).toMatchObject({ devices: 1, quarantinedDevices: 1 });
      expect(await secret()).toEqual(SECRET);
      expect(await install.json(["device", "release", "phone"])).toMatchObject({ state: "active" });
      expect(await pingOfPhone()).toEqual({ exit: 0, code: undefined });
      expect(await daemon.stop("SIGTERM")).toBe(0);
    },
  );
});
