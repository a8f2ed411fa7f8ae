import { execFileSync, spawnSync } from "node:child_process";
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { METHODS } from "../../src/client/index.ts";
import { Resources } from "../../src/core/index.ts";
import { type Daemon, Install, isObject, text } from "../support/gatehouse-process.ts";
import { GrpcJsCaller } from "../support/grpc-js-caller.ts";
import { programIn } from "../support/pages.ts";
import { type PairedDevice, pairDevice } from "../support/paired-device.ts";

const PYTHON = "/usr/bin/python3";
const SCHEMAS = fileURLToPath(new URL("../../schemas", import.meta.url));
const hasPython =
  spawnSync("protoc", ["--version"]).status === 0 &&
  spawnSync(PYTHON, ["-c", "import grpc, google.protobuf"]).status === 0;

const NAMES = ["authorities.pem", "certificate.pem", "key.pem"];

describe("remote export", () => {
  const resources = new Resources();
  let owner: Install;
  let daemon: Daemon;
  let device: PairedDevice;
  const out = (name: string): string => join(device.install.root, name);
  const outcome = (...words: readonly string[]) => device.install.outcome(["remote", "export", ...words]);
  const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

  beforeAll(async () => {
    owner = resources.use(await Install.create());
    daemon = resources.use(await owner.serve(["--init", "--open-pairing", "--name", "hall"]));
    device = resources.use(await pairDevice(daemon, "lamp"));
  });
  afterAll(() => resources[Symbol.asyncDispose]());

  it("writes all that a stock gRPC client needs, readable by this user alone", async () => {
    const { exported } = await device.install.json(["remote", "export", "hall", "--out", out("a/b")]);
    if (!isObject(exported)) throw new Error("remote export answered another shape");
    expect(exported).toMatchObject({ name: "hall", address: daemon.address });
    expect((await readdir(out("a/b"))).sort()).toEqual(NAMES);
    expect([await modeOf(out("a/b")), await modeOf(out("a"))]).toEqual([0o700, 0o700]);
    for (const name of NAMES) expect(await modeOf(join(out("a/b"), name))).toBe(0o600);

    const [caPem = "", certificatePem = "", keyPem = ""] = await Promise.all(
      NAMES.map((name) => readFile(join(out("a/b"), name), "utf8")),
    );
    const { grpc } = await daemon.event("ready");
    const serverName = text(exported["serverName"]);
    const identity = { certificatePem, keyPem };
    using caller = new GrpcJsCaller({ address: text(grpc), serverName, caPem, identity });
    const { payload } = await caller.unary(METHODS.Health.Ping, { payload: Buffer.from("hi") });
    expect(Buffer.from(payload).toString()).toBe("hi");
  });

  it.skipIf(!hasPython)("is what the Python program of docs/transport.md runs on", async () => {
    const { root } = device.install;
    await owner.json(["vault", "put", "shared/db"], "correct horse");
    const { exported } = await device.install.json(["remote", "export", "hall", "--out", out("hall")]);
    if (!isObject(exported)) throw new Error("remote export answered another shape");
    execFileSync("protoc", ["-I", SCHEMAS, `--python_out=${root}`, "gatehouse/v1/vault.proto"]);
    await writeFile(out("get.py"), await programIn("docs/transport.md", "get.py"));
    const { grpc } = await daemon.event("ready");
    const args = ["get.py", text(grpc), text(exported["serverName"])];
    expect(execFileSync(PYTHON, args, { cwd: root }).toString()).toBe("correct horse\n");
  });

  it("says where to call, by what name and until when, and never shows the key", async () => {
    const done = await device.install.run(["remote", "export", "--out", out("told")]);
    const words = done.stdout.toString();
    expect(words).toContain(`address       ${daemon.address}\n`);
    expect(words).toMatch(/^server name {3}[a-z2-7]{56}\.gatehouse\.internal$/m);
    expect(words).toMatch(/^certificate {3}expires in 29 days/m);
    expect(done.stderr).toContain("copy of this device's key");
    const again = await device.install.run(["remote", "export", "--out", out("told"), "--force", "--json"]);
    const [, body = ""] = (await readFile(join(out("told"), "key.pem"), "utf8")).split("\n");
    expect(body.length).toBeGreaterThan(40);
    for (const output of [words, done.stderr, again.stdout.toString(), again.stderr]) {
      expect(output).not.toContain(body);
    }
  });

  it("replaces an earlier export only with --force", async () => {
    await device.install.json(["remote", "export", "--out", out("twice")]);
    await writeFile(join(out("twice"), "certificate.pem"), "old");
    await writeFile(join(out("twice"), "notes.txt"), "mine", { mode: 0o600 });
    expect(await outcome("--out", out("twice"))).toEqual({ exit: 7, code: "file.exists" });
    expect(await readFile(join(out("twice"), "certificate.pem"), "utf8")).toBe("old");
    await device.install.json(["remote", "export", "--out", out("twice"), "--force"]);
    expect(await readFile(join(out("twice"), "certificate.pem"), "utf8")).toContain("BEGIN CERTIFICATE");
    expect(await readFile(join(out("twice"), "notes.txt"), "utf8")).toBe("mine");
  });

  it("writes nothing where others can read", async () => {
    await mkdir(out("open"));
    await chmod(out("open"), 0o750);
    expect(await outcome("--out", out("open"))).toEqual({ exit: 7, code: "home.bad-permissions" });
    expect(await readdir(out("open"))).toEqual([]);
  });

  it("gives no copy of the key that a gatehouse shows its devices", async () => {
    const refused = await owner.run(["remote", "export", "--out", join(owner.root, "own"), "--json"]);
    expect(refused).toMatchObject({ exitCode: 5, errorCode: "remote.none" });
    expect(refused.stdout.toString()).toContain("pair a home for the program");
    expect(await readdir(owner.root)).not.toContain("own");
  });

  it("refuses a certificate that has run out, and a command line without a folder", async () => {
    const file = join(device.install.home, "remotes.json");
    const stored = await readFile(file, "utf8");
    await writeFile(file, stored.replace(/"certificateExpiresAt": \d+/, '"certificateExpiresAt": 1'));
    expect(await outcome("--out", out("late"))).toEqual({ exit: 5, code: "certificate.expired" });
    await writeFile(file, stored);
    expect(await outcome()).toEqual({ exit: 2, code: "usage.bad-argument" });
    expect(await outcome("nowhere", "--out", out("late"))).toEqual({ exit: 3, code: "remote.not-found" });
  });

  it("writes a certificate and a key that belong together", async () => {
    await device.install.json(["remote", "export", "--out", out("pair")]);
    const publicKey = (...words: readonly string[]): string =>
      execFileSync("openssl", words, { cwd: out("pair") }).toString();
    expect(publicKey("x509", "-in", "certificate.pem", "-noout", "-pubkey")).toBe(
      publicKey("pkey", "-in", "key.pem", "-pubout"),
    );
  });
});
