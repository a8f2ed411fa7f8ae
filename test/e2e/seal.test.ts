import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Resources } from "../../src/core/index.ts";
import { isLong } from "../support/effort.ts";
import { type Daemon, Install } from "../support/gatehouse-process.ts";

const PASSPHRASE = "correct horse battery staple";

let resources: Resources;
let install: Install;

beforeEach(async () => {
  resources = new Resources();
  install = resources.use(await Install.create());
});

afterEach(() => resources[Symbol.asyncDispose]());

async function serve(args: readonly string[]): Promise<Daemon> {
  return resources.use(await install.serve(args));
}

async function passphraseFile(name: string, passphrase: string): Promise<string> {
  const file = join(install.root, name);
  await writeFile(file, `${passphrase}\n`, { mode: 0o600 });
  return file;
}

describe("a gatehouse with its key in a file", () => {
  it("is sealed and unsealed by one command each, at the same address", async () => {
    const daemon = await serve(["--init"]);
    await install.json(["vault", "put", "shared/a"], "kept");
    expect(await install.json(["seal"])).toEqual({ state: "sealed" });
    expect(await install.json(["status"])).toMatchObject({
      ...{ state: "sealed", reason: "its owner sealed it", quic: daemon.address, keyKinds: ["key-file"] },
    });
    expect(await install.outcome(["vault", "get", "shared/a"])).toEqual({ exit: 8, code: "vault.sealed" });
    expect(await install.outcome(["device", "ls"])).toEqual({ exit: 8, code: "vault.sealed" });
    expect(await install.outcome(["seal"])).toEqual({ exit: 0, code: undefined });
    expect(await install.json(["unseal"])).toEqual({ state: "serving", wasSealed: true });
    expect((await install.run(["vault", "get", "shared/a"])).stdout.toString()).toBe("kept");
    expect(await install.json(["unseal"])).toEqual({ state: "serving", wasSealed: false });
    expect((await install.json(["status"]))["quic"]).toBe(daemon.address);
    expect(await daemon.stop()).toBe(0);
  }, 60_000);

  it("starts sealed when it is told to, and ends in order while it is", async () => {
    const first = await serve(["--init"]);
    await install.json(["vault", "put", "shared/a"], "kept");
    expect(await first.stop()).toBe(0);
    const second = await serve(["--sealed"]);
    expect(await second.event("ready")).toMatchObject({ state: "sealed" });
    expect(await install.outcome(["vault", "get", "shared/a"])).toEqual({ exit: 8, code: "vault.sealed" });
    expect(await second.stop()).toBe(0);
    const third = await serve(["--sealed"]);
    await install.json(["unseal"]);
    expect((await install.run(["vault", "get", "shared/a"])).stdout.toString()).toBe("kept");
    expect(await third.stop()).toBe(0);
  }, 60_000);
});

describe("a gatehouse with a passphrase", () => {
  it.runIf(isLong)(
    "starts sealed where nobody can be asked, and opens for the right one alone, a few guesses at a time",
    async () => {
      const right = await passphraseFile("right", PASSPHRASE);
      const wrong = await passphraseFile("wrong", "incorrect horse battery");
      const made = ["init", "--kek", "passphrase", "--kek-passphrase-file", right];
      await install.json(made);
      const first = await serve(["--kek-passphrase-file", right]);
      await install.json(["vault", "put", "shared/a"], "kept");
      expect(await first.stop()).toBe(0);
      const daemon = await serve([]);
      expect(await daemon.event("ready")).toMatchObject({ state: "sealed" });
      expect(await install.outcome(["unseal"])).toMatchObject({ exit: 2 });
      const unsealWith = (file: string) => install.outcome(["unseal", "--kek-passphrase-file", file]);
      for (let attempt = 0; attempt < 5; attempt += 1) {
        expect(await unsealWith(wrong)).toEqual({ exit: 8, code: "vault.wrong-key" });
      }
      expect(await unsealWith(wrong)).toEqual({ exit: 11, code: "vault.unseal-limited" });
      expect(await install.json(["status"])).toMatchObject({ state: "sealed", keyKinds: ["passphrase"] });
      expect(await daemon.stop()).toBe(0);
      const again = await serve([]);
      expect(await unsealWith(right)).toEqual({ exit: 0, code: undefined });
      expect((await install.run(["vault", "get", "shared/a"])).stdout.toString()).toBe("kept");
      expect(await again.stop()).toBe(0);
    },
    60_000,
  );
});
