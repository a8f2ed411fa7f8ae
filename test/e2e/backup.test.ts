import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateIdentity, identityToRecipient } from "age-encryption";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Resources } from "../../src/core/index.ts";
import { entriesOf, listedAnew, sealedAnew } from "../support/backup-files.ts";
import { isLong } from "../support/effort.ts";
import { Install } from "../support/gatehouse-process.ts";

let resources: Resources;
let install: Install;
let key: string;
let keyFile: string;

beforeEach(async () => {
  resources = new Resources();
  install = resources.use(await Install.create());
  key = await generateIdentity();
  keyFile = join(install.root, "recovery.txt");
  await writeFile(keyFile, `# created: today\n${key}\n`, { mode: 0o600 });
});

afterEach(() => resources[Symbol.asyncDispose]());

async function made(): Promise<string> {
  const recipient = await identityToRecipient(key);
  await install.json(["init", "--name", "hall", "--recovery-recipient", recipient]);
  return recipient;
}

const backupFile = (name = "hall.age"): string => join(install.root, name);

describe("a backup", () => {
  it("is made while the gatehouse runs, proved whole, and brings it back under new keys with every device held", async () => {
    const recipient = await made();
    await using daemon = await install.serve([]);
    await install.json(["vault", "put", "shared/db"], "first");
    await install.json(["vault", "put", "shared/db"], "second");
    await install.json(["vault", "put", "gone"], "removed");
    await install.json(["vault", "rm", "gone"]);
    const summary = await install.json(["backup", "create", backupFile()]);
    expect(summary).toMatchObject({ path: backupFile(), recipients: [recipient] });
    await install.json(["vault", "put", "shared/db"], "after the backup");
    expect(await daemon.stop()).toBe(0);

    const checked = await install.json(["backup", "verify", backupFile(), "--identity-file", keyFile]);
    expect(checked).toMatchObject({ whole: true, versions: 3, gatehouse: { name: "hall" } });

    const elsewhere = resources.use(await Install.create());
    const restored = await elsewhere.json(["backup", "restore", backupFile(), "--identity-file", keyFile]);
    expect(restored).toMatchObject({ gatehouse: { name: "hall" }, home: elsewhere.home });
    await using again = await elsewhere.serve([]);
    expect((await elsewhere.run(["vault", "get", "shared/db"])).stdout.toString()).toBe("second");
    expect(await elsewhere.json(["vault", "history", "gone"])).toMatchObject({
      versions: [{ isRemoved: true }],
    });
    expect(await again.stop()).toBe(0);
    expect(await elsewhere.json(["vault", "key", "ls"])).toMatchObject({
      keys: [{ kind: "recovery", recipient }, { kind: "key-file" }],
    });
    expect(await elsewhere.outcome(["backup", "restore", backupFile(), "--identity-file", keyFile])).toEqual({
      exit: 7,
      code: "home.already-initialized",
    });
  }, 90_000);

  it("is read by nobody whom it was not made for, and by whoever was named", async () => {
    await made();
    const friend = await generateIdentity();
    const [friendFile, strangerFile] = [join(install.root, "friend"), join(install.root, "stranger")];
    await writeFile(friendFile, friend, { mode: 0o600 });
    await writeFile(strangerFile, await generateIdentity(), { mode: 0o600 });
    await using daemon = await install.serve([]);
    await install.json(["vault", "put", "a"], "value");
    await install.json(["backup", "create", backupFile(), "--to", await identityToRecipient(friend)]);
    expect(await install.outcome(["backup", "create", backupFile()])).toMatchObject({ code: "file.exists" });
    expect(await install.outcome(["backup", "create", backupFile("b"), "--to", "age1nobody"])).toMatchObject({
      code: "usage.bad-argument",
    });
    expect(await readdir(install.root)).not.toContain("b");
    expect(await daemon.stop()).toBe(0);
    expect(
      await install.outcome(["backup", "verify", backupFile(), "--identity-file", strangerFile]),
    ).toEqual({
      exit: 8,
      code: "backup.wrong-key",
    });
    const elsewhere = resources.use(await Install.create());
    await elsewhere.json(["backup", "restore", backupFile(), "--identity-file", friendFile]);
    await using again = await elsewhere.serve([]);
    expect((await elsewhere.run(["vault", "get", "a"])).stdout.toString()).toBe("value");
    expect(await again.stop()).toBe(0);
  }, 90_000);

  it.runIf(isLong)(
    "is refused where a byte was changed or is missing, and leaves nothing behind",
    async () => {
      await made();
      await using daemon = await install.serve([]);
      await install.json(["vault", "put", "a"], "value");
      await install.json(["backup", "create", backupFile()]);
      expect(await daemon.stop()).toBe(0);
      const whole = await readFile(backupFile());
      const elsewhere = resources.use(await Install.create());
      await mkdir(elsewhere.root, { recursive: true });
      const damages: [string, Uint8Array][] = [
        ["cut", whole.subarray(0, whole.length - 1)],
        ["half", whole.subarray(0, whole.length >> 1)],
        ["early", flipped(whole, 260)],
        ["late", flipped(whole, whole.length - 40)],
      ];
      for (const [name, bytes] of damages) {
        await writeFile(join(elsewhere.root, name), bytes);
        const restored = await elsewhere.outcome([
          ...["backup", "restore", join(elsewhere.root, name)],
          ...["--identity-file", keyFile],
        ]);
        expect([name, restored]).toEqual([name, { exit: 9, code: "backup.damaged" }]);
        const left = (await readdir(elsewhere.root)).filter((entry) => entry.startsWith("home"));
        expect(left).toEqual([]);
      }
    },
    90_000,
  );

  it.runIf(isLong)(
    "opens by the device's own key that made it for itself, and only as the gatehouse that was asked for",
    async () => {
      await made();
      await using daemon = await install.serve([]);
      await install.json(["vault", "put", "a"], "value");
      await install.json(["backup", "create", backupFile(), "--to-self"]);
      expect(await daemon.stop()).toBe(0);
      const own = ["--device-home", install.home];
      const { gatehouse } = (await install.json(["backup", "verify", backupFile(), ...own])) as {
        gatehouse: { id: string };
      };
      const elsewhere = resources.use(await Install.create());
      const another = (await elsewhere.json(["init", "--name", "another", "--no-recovery-key"])) as {
        deviceId: string;
      };
      expect(
        await elsewhere.outcome(["backup", "verify", backupFile(), "--device-home", elsewhere.home]),
      ).toEqual({ exit: 8, code: "backup.wrong-key" });
      const asked = (id: string) =>
        install.outcome(["backup", "verify", backupFile(), ...own, "--gatehouse", id]);
      expect(await asked(gatehouse.id)).toEqual({ exit: 0, code: undefined });
      expect(await asked(another.deviceId)).toEqual({ exit: 9, code: "backup.other-gatehouse" });
    },
    90_000,
  );

  it("that somebody else sealed for the key is refused, however well it is made", async () => {
    const recipient = await made();
    await using daemon = await install.serve([]);
    await install.json(["vault", "put", "a"], "value");
    await install.json(["backup", "create", backupFile()]);
    expect(await daemon.stop()).toBe(0);
    const entries = await entriesOf(await readFile(backupFile()), key);
    const line = JSON.parse(Buffer.from(entries.get("secrets/00001.jsonl") ?? []).toString());
    const planted = { ...line, value: Buffer.from("planted").toString("base64") };
    entries.set("secrets/00001.jsonl", Buffer.from(`${JSON.stringify(planted)}\n`));
    await writeFile(backupFile("forged.age"), await sealedAnew(listedAnew(entries), recipient));
    const outcome = await install.outcome([
      "backup",
      "verify",
      backupFile("forged.age"),
      "--identity-file",
      keyFile,
    ]);
    expect(outcome).toEqual({ exit: 9, code: "backup.damaged" });
  }, 90_000);

  it("is read without a gatehouse, by age and tar", async ({ skip }) => {
    const age = ageProgram();
    if (age === undefined) skip("the age program is not installed: apt-get install age");
    await made();
    await using daemon = await install.serve([]);
    await install.json(["vault", "put", "shared/db"], "by hand");
    await install.json(["backup", "create", backupFile()]);
    expect(await daemon.stop()).toBe(0);
    const tar = join(install.root, "plain.tar");
    execFileSync("age", ["-d", "-i", keyFile, "-o", tar, backupFile()]);
    const lines = execFileSync("tar", ["xOf", tar, "secrets/00001.jsonl"], { encoding: "utf8" })
      .trim()
      .split("\n");
    const [line = ""] = lines;
    expect(lines).toHaveLength(1);
    const { path, version, value } = JSON.parse(line);
    expect({ path, version, value: Buffer.from(value, "base64").toString() }).toEqual({
      ...{ path: "shared/db", version: 1, value: "by hand" },
    });
  }, 90_000);
});

function flipped(bytes: Uint8Array, offset: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy.fill((copy[offset] ?? 0) ^ 1, offset, offset + 1);
  return copy;
}

function ageProgram(): string | undefined {
  try {
    return execFileSync("age", ["--version"], { encoding: "utf8" });
  } catch {
    return undefined;
  }
}
