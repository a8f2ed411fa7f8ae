import { chmod, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Install } from "../support/gatehouse-process.ts";

/** Where the vault's key is kept, by the real program. */
describe("--kek", () => {
  let install: Install;
  let passphrase: readonly string[];
  beforeEach(async () => {
    install = await Install.create();
    const file = join(install.root, "passphrase");
    await writeFile(file, "correct horse battery\n", { mode: 0o600 });
    passphrase = ["--kek-passphrase-file", file];
  });
  afterEach(() => install[Symbol.asyncDispose]());

  const whileServing = async (serve: readonly string[], ...command: readonly string[]) => {
    await using _daemon = await install.serve(serve);
    return await install.json(command, "1");
  };

  it("passphrase is remembered by the vault: serve takes the same one, and no other", async () => {
    await install.json(["init", "--name", "hall", "--kek", "passphrase", ...passphrase]);
    expect(await whileServing(passphrase, "vault", "put", "shared/x")).toMatchObject({ version: 1 });
    {
      // Nobody is there to be asked: it waits for whoever brings it.
      await using unattended = await install.serve();
      expect(await unattended.event("ready")).toMatchObject({ state: "sealed" });
    }
    const wrong = ["serve", "--kek-passphrase-file", "-"];
    expect(await install.outcome(wrong, "incorrect horse battery\n")).toEqual({
      exit: 8,
      code: "vault.wrong-key",
    });
    expect(await whileServing(passphrase, "vault", "get", "shared/x")).toMatchObject({ value: "MQ==" });
  });

  it("passphrase from standard input is not for a daemon that is started again", async () => {
    const argv = ["serve", "--init", "--kek", "passphrase", "--kek-passphrase-file", "-", "--supervise"];
    expect(await install.outcome(argv, "correct horse battery\n")).toEqual({
      exit: 2,
      code: "usage.bad-argument",
    });
  });

  it("passphrase is refused when it is short, and nothing is made", async () => {
    const short = ["init", "--kek", "passphrase", "--kek-passphrase-file", "-"];
    expect(await install.outcome(short, "horse\n")).toEqual({ exit: 2, code: "usage.bad-argument" });
    expect(await install.outcome(["serve"])).toMatchObject({ exit: 3 });
  });

  it("of several needs nobody while one of them does, and waits for the other when that is gone", async () => {
    const keyDir = join(install.root, "config", "gatehouse", "keys");
    await install.json(["init", "--name", "hall", "--kek", "passphrase", ...passphrase]);
    const before = await readdir(keyDir);
    await install.json(["vault", "key", "add", "--new-kek", "keyfile", ...passphrase]);
    const [added = ""] = (await readdir(keyDir)).filter((name) => !before.includes(name));
    {
      await using open = await install.serve();
      expect(await open.event("ready")).toMatchObject({ state: "open" });
    }
    await rm(join(keyDir, added));
    await using waiting = await install.serve();
    expect(await waiting.event("ready")).toMatchObject({ state: "sealed" });
    expect(await install.outcome(["unseal"])).toMatchObject({ exit: 2 });
    expect(await install.json(["unseal", ...passphrase])).toEqual({ state: "serving", wasSealed: true });
  });

  it("keyfile:PATH keeps the key there, and needs to be told where again", async () => {
    await mkdir(join(install.root, "stick"), { mode: 0o700 });
    const path = join(install.root, "stick", "hall.kek");
    await install.json(["init", "--name", "hall", "--kek", `keyfile:${path}`]);
    expect(await readdir(join(install.root, "stick"))).toEqual(["hall.kek"]);
    const kek = ["--kek", `keyfile:${path}`];
    expect(await whileServing(kek, "vault", "put", "shared/x")).toMatchObject({ version: 1 });
    expect(await install.outcome(["serve"])).toMatchObject({ exit: 8 });
  });

  it("command:PROGRAM asks a program, which serve has to be told again", async () => {
    const program = join(install.root, "key");
    await writeFile(program, `#!/bin/sh\necho ${"7".repeat(64)}\n`);
    await chmod(program, 0o700);
    const kek = ["--kek", `command:${program}`];
    await install.json(["init", "--name", "hall", ...kek]);
    expect(await whileServing(kek, "vault", "put", "shared/x")).toMatchObject({ version: 1 });
    expect(await install.outcome(["serve"])).toEqual({ exit: 8, code: "key.missing" });
  });

  it("is a place that there is", async () => {
    expect(await install.outcome(["init", "--kek", "paper"])).toEqual({
      exit: 2,
      code: "usage.bad-argument",
    });
  });
});
