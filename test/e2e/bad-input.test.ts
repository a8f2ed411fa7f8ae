import { chmod, cp, mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { LIMITS, Resources, utf8 } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { encodeCall, encodeOpen } from "../../src/rpc/index.ts";
import { isLong } from "../support/effort.ts";
import { type Daemon, Install, isObject, text } from "../support/gatehouse-process.ts";
import { OwnerDoor } from "../support/owner-door.ts";

const SERVE = ["serve", "--listen", "127.0.0.1:0"];

const resources = new Resources();
let install: Install;
let daemon: Daemon;
/** A home that was made and never served since. */
let idle: Install;

async function copyOf(original: Install): Promise<Install> {
  const copy = resources.use(await Install.create());
  await cp(original.root, copy.root, { recursive: true });
  return copy;
}

beforeAll(async () => {
  install = resources.use(await Install.create());
  daemon = resources.use(await install.serve(["--init"]));
  await install.json(["vault", "put", "shared/a"], "a");
  idle = resources.use(await Install.create());
  const once = await idle.serve(["--init"]);
  await idle.json(["vault", "put", "shared/a"], "a");
  await once.stop("SIGTERM");
});

afterAll(() => resources[Symbol.asyncDispose]());

describe("a bad command", () => {
  afterEach(async () => {
    await using door = await OwnerDoor.open(install.home, daemon.port);
    const { value } = await door.call(METHODS.Vault.Get, { path: "shared/a" });
    if (Buffer.from(value).toString() !== "a") throw new Error("the daemon serves another value");
  });

  it.each([
    ["an unknown command", ["valt", "ls"], 2, "usage.unknown-command"],
    ["an unknown subcommand", ["vault", "steal"], 2, "usage.unknown-command"],
    ["an unknown flag", ["vault", "ls", "--colour"], 2, "usage.bad-argument"],
    ["a missing argument", ["vault", "get"], 2, "usage.bad-argument"],
    ["a path with an empty segment", ["vault", "get", "a//b"], 2, "vault.bad-path"],
    ["a path that climbs", ["vault", "get", "../a"], 2, "vault.bad-path"],
    ["a path with a space", ["vault", "get", "a b"], 2, "vault.bad-path"],
    ["a path of 513 bytes", ["vault", "get", `${"a/".repeat(256)}b`], 2, "vault.bad-path"],
    ["a path that nobody wrote", ["vault", "get", "shared/none"], 3, "vault.not-found"],
    ["an unknown version", ["vault", "get", "shared/a", "--version", "7"], 3, "vault.version-not-found"],
    ["a version that is no number", ["vault", "get", "shared/a", "--version", "x"], 2, "usage.bad-argument"],
    ["an unknown device", ["device", "show", "nobody"], 3, "device.not-found"],
    ["a home made again while in use", ["init"], 7, "home.in-use"],
    ["a home in use", SERVE, 7, "home.in-use"],
  ])("gets its code and exit status: %s", async (_, args, exit, code) => {
    expect(await install.outcome(args)).toEqual({ exit, code });
  });

  it("refuses a value of one byte over 1 MiB, and takes one of 1 MiB", async () => {
    const largest = Buffer.alloc(LIMITS.secretValueBytes, 1);
    const over = Buffer.alloc(LIMITS.secretValueBytes + 1, 1);
    expect(await install.outcome(["vault", "put", "shared/big"], over)).toEqual({
      exit: 2,
      code: "vault.too-large",
    });
    expect(await install.json(["vault", "put", "shared/big"], largest)).toMatchObject({ version: 1 });
    expect((await install.run(["vault", "get", "shared/big"])).stdout.equals(largest)).toBe(true);
  });

  it.each(["12345", "1234567", "12a456", ""])(
    "refuses the malformed code %o before it costs a guess",
    async (code) => {
      await using stranger = await Install.create();
      expect(await stranger.outcome(["pair", "join", daemon.address, "--code", code])).toEqual({
        exit: 2,
        code: "pairing.bad-code",
      });
    },
  );

  it("is not let in while no window is open", async () => {
    await using stranger = await Install.create();
    expect((await stranger.outcome(["pair", "join", daemon.address, "--code", "123456"])).exit).toBe(5);
  });

  it("does not take the last owner away", async () => {
    const { deviceId } = await install.json(["status"]);
    expect(await install.outcome(["device", "revoke", text(deviceId)])).toEqual({
      exit: 7,
      code: "device.last-owner",
    });
  });

  it("names the process that holds the home", async () => {
    const result = await install.run([...SERVE, "--json"]);
    const { error } = result.document;
    expect(isObject(error) ? error["message"] : undefined).toContain(String(daemon.pid));
  });

  it("gets 7 for a port that is taken, and the holder goes on", async () => {
    const outcome = await idle.outcome(["serve", "--listen", daemon.address]);
    expect(outcome).toEqual({ exit: 7, code: "quic.address-in-use" });
  });

  it("gets 6 where nobody listens", async () => {
    await using nobody = await Install.create();
    const outcome = await nobody.outcome([
      "pair",
      "join",
      "127.0.0.1:9",
      "--code",
      "123456",
      "--timeout",
      "2s",
    ]);
    expect(outcome.exit).toBe(6);
  });
});

describe("a bad home", () => {
  it("is not served when it was never made", async () => {
    await using empty = await Install.create();
    expect(await empty.outcome(SERVE)).toEqual({ exit: 3, code: "home.not-initialized" });
  });

  it("is not made a second time", async () => {
    expect(await idle.outcome(["init"])).toEqual({ exit: 7, code: "home.already-initialized" });
  });

  it("is refused when others may read it, or any file or directory in it, with the chmod that mends it", async () => {
    const copy = await copyOf(idle);
    for (const [place, mode] of [
      [".", 0o700],
      ["boot", 0o600],
      ["ca", 0o700],
      ["identity/owner.json", 0o600],
      ["vault/header", 0o600],
    ] as const) {
      const path = join(copy.home, place);
      await chmod(path, mode | 0o055);
      const result = await copy.run([...SERVE, "--json"]);
      expect({ exit: result.exitCode, code: result.errorCode }).toEqual({
        exit: 7,
        code: "home.bad-permissions",
      });
      expect(result.stdout.toString()).toContain(`chmod ${mode.toString(8)} ${path}`);
      await chmod(path, mode);
    }
    await using served = await copy.serve();
    expect(served.isRunning).toBe(true);
  });

  it("is refused by the commands that ask its own daemon, too, which serves on", async () => {
    const answers: unknown[] = [];
    await chmod(install.home, 0o755);
    for (const args of [["status"], ["vault", "get", "shared/a"], ["remote", "ls"]]) {
      const result = await install.run([...args, "--json"]);
      const hasHint = result.stdout.toString().includes(`chmod 700 ${install.home}`);
      answers.push({ exit: result.exitCode, code: result.errorCode, hasHint });
    }
    await chmod(install.home, 0o700);
    expect(answers).toEqual(Array(3).fill({ exit: 7, code: "home.bad-permissions", hasHint: true }));
    expect(await install.json(["status"])).toMatchObject({ state: "serving" });
  });

  it("gets 9 where what its commands read of it does not parse", async () => {
    for (const file of ["endpoint.json", "identity/owner.json", "identity/identity.key"]) {
      const path = join(install.home, file);
      const bytes = await readFile(path);
      await writeFile(path, bytes.subarray(0, bytes.length >> 1));
      expect({ file, exit: (await install.outcome(["status"])).exit }).toEqual({ file, exit: 9 });
      await writeFile(path, bytes);
    }
    await using paired = await Install.create();
    await mkdir(paired.home, { mode: 0o700 });
    await writeFile(join(paired.home, "remotes.json"), "{", { mode: 0o600 });
    expect(await paired.outcome(["remote", "ls"])).toEqual({ exit: 9, code: "file.damaged" });
    expect(await install.json(["status"])).toMatchObject({ state: "serving" });
  });

  it("is refused as sealed without its key-encryption key", async () => {
    const copy = await copyOf(idle);
    await rm(join(copy.root, "config"), { recursive: true });
    expect((await copy.outcome(SERVE)).exit).toBe(8);
  });

  it.each(isLong ? ["identity/identity.key", "ca", "boot", "vault/header"] : ["ca", "vault/header"])(
    "is refused with 9 and the file's name when %s is cut or changed",
    async (place) => {
      const copy = await copyOf(idle);
      for (const damage of isLong ? (["cut", "changed"] as const) : (["changed"] as const)) {
        for (const file of await filesAt(join(copy.home, place))) {
          const bytes = await readFile(file);
          if (damage === "cut") await truncate(file, Math.floor(bytes.length / 2));
          else
            await writeFile(
              file,
              bytes.map((byte, index) => (index === bytes.length >> 1 ? byte ^ 4 : byte)),
            );
          const result = await copy.run([...SERVE, "--json"]);
          expect(result.exitCode, `${file} ${damage}: ${result.describe()}`).toBe(9);
          expect(result.stdout.toString()).toContain(file.slice(file.lastIndexOf("/") + 1));
          await writeFile(file, bytes);
        }
      }
      await using served = await copy.serve();
      expect(served.isRunning).toBe(true);
    },
  );
});

describe("a peer that breaks the protocol", () => {
  const open = { method: METHODS.Health.Ping.path, timeoutMs: 5_000, requestId: undefined, traceparent: "" };
  const ping = encodeCall(open, METHODS.Health.Ping.request.encode({ payload: utf8("x") }).finish());

  it.each<[string, Uint8Array, readonly string[]]>([
    ["half a frame", ping.subarray(0, ping.length - 2), ["rpc.bad-frame"]],
    ["nothing at all", new Uint8Array(), ["rpc.bad-frame"]],
    ["bytes that are no frame", Uint8Array.from({ length: 64 }, () => 0x55), ["rpc.bad-frame"]],
    ["a frame of 2 MiB", Uint8Array.of(0xff, 0xff, 0x7f, 0x12), ["rpc.too-large"]],
    [
      "a method that there is not",
      encodeOpen({ ...open, method: "/gatehouse.v1.Health/Nope" }),
      ["rpc.unknown-method"],
    ],
    ["a call without its request", encodeOpen(open), ["rpc.bad-frame"]],
    ["a request that is no message", encodeCall(open, Uint8Array.of(0x0a, 0x7f)), ["rpc.bad-message"]],
  ])("is told so, and the same connection serves its next call: %s", async (_, bytes, codes) => {
    await using door = await OwnerDoor.open(install.home, daemon.port);
    const { code } = await door.send(bytes, true);
    expect(codes).toContain(code);
    const { payload } = await door.call(METHODS.Health.Ping, { payload: utf8("still here") });
    expect(Buffer.from(payload).toString()).toBe("still here");
  });
});

/** `place` itself, or the files of that folder. */
async function filesAt(place: string): Promise<readonly string[]> {
  const names = await readdir(place).catch(() => undefined);
  return names === undefined ? [place] : names.map((name) => join(place, name));
}
