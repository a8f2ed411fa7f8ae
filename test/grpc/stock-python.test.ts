/** Python's gRPC, which is the C library, with nothing of ours but the schemas and what a device has on its disk. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { METHODS } from "../../src/client/index.ts";
import type { Daemon } from "../../src/daemon/index.ts";
import { GrpcWorld, grpcOf } from "../daemon/grpc-world.ts";
import type { Credentials } from "../support/credentials.ts";
import { TlsFixtures } from "../support/tls-fixtures.ts";

const PYTHON = "/usr/bin/python3";
const PROGRAM = fileURLToPath(new URL("programs/stock_client.py", import.meta.url));
const SCHEMAS = fileURLToPath(new URL("../../schemas", import.meta.url));
const PROTOS = ["approvals", "health", "vault"].map((name) => `gatehouse/v1/${name}.proto`);

/** What is missing on this machine; undefined when nothing is. */
function missing(): string | undefined {
  if (spawnSync("protoc", ["--version"]).status !== 0) return "protoc";
  const imported = spawnSync(PYTHON, ["-c", "import grpc, google.protobuf"]);
  return imported.status === 0 ? undefined : "Python's grpc and protobuf";
}

const lack = missing();
if (lack !== undefined) console.log(`not tested with Python's gRPC client: ${lack} is not installed here`);

type Line = Readonly<Record<string, unknown>>;

describe.skipIf(lack !== undefined)("Python's gRPC client", () => {
  const world = new GrpcWorld();
  const dir = mkdtempSync(join(tmpdir(), "gatehouse-python-"));
  let hall: Daemon;
  let phone: Credentials;

  beforeAll(async () => {
    execFileSync("protoc", [`-I${SCHEMAS}`, `--python_out=${dir}`, ...PROTOS]);
    mkdirSync(join(dir, "standard"));
    // Not under its package's name: that is the library's own.
    const standard = join(SCHEMAS, "grpc/health/v1");
    execFileSync("protoc", [`-I${standard}`, `--python_out=${join(dir, "standard")}`, "health.proto"]);
    hall = await world.serve();
    phone = await world.pair(hall, "phone");
    const owner = await world.owner();
    await owner.call(METHODS.Device.Grant, { device: "phone", role: "owner" });
    await owner.call(METHODS.Vault.Put, { path: "api/token", value: Buffer.from("s3cret") });
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Its lines as they come; ends with the program. */
  async function* run(
    identity: Pick<Credentials, "keyPem" | "certificatePem"> | undefined,
    command: readonly string[],
  ): AsyncGenerator<Line> {
    const file = (name: string, text: string): string => {
      const path = join(dir, name);
      writeFileSync(path, text);
      return path;
    };
    const own =
      identity === undefined
        ? ["", ""]
        : [file("c.pem", identity.certificatePem), file("k.pem", identity.keyPem)];
    const place = [dir, grpcOf(hall), phone.serverName, file("ca.pem", phone.caPem)];
    const child = spawn(PYTHON, [PROGRAM, ...place, ...own, ...command], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let complaint = "";
    child.stderr.on("data", (chunk: Buffer) => {
      complaint += chunk.toString();
    });
    let count = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      count += 1;
      yield JSON.parse(line) as Line;
    }
    if (count === 0) throw new Error(`it said nothing: ${complaint}`);
  }

  async function only(identity: Parameters<typeof run>[0], ...command: readonly string[]): Promise<Line> {
    const lines = [];
    for await (const line of run(identity, command)) lines.push(line);
    expect(lines).toHaveLength(1);
    return lines[0] ?? {};
  }

  it("gets a secret, hears why it gets none, and asks after our health", async () => {
    const [value, none, all, unknown] = [
      await only(phone, "get", "api/token"),
      await only(phone, "get", "no/such"),
      await only(phone, "check", ""),
      await only(phone, "check", "made.up.Service"),
    ];
    expect(value).toEqual({ value: "s3cret" });
    expect(none).toMatchObject({ failed: "NOT_FOUND", code: "vault.not-found" });
    expect(all).toEqual({ status: "SERVING" });
    expect(unknown).toMatchObject({ failed: "NOT_FOUND", code: "rpc.unknown-service" });
  });

  it("is refused without a certificate and with a stranger's", async () => {
    using strangers = new TlsFixtures("stranger");
    expect(await only(undefined, "ping")).toMatchObject({ failed: "UNAVAILABLE", code: "" });
    expect(await only(strangers.selfSigned("self"), "ping")).toMatchObject({
      failed: "UNAVAILABLE",
      code: "",
    });
  });

  it("streams approvals until its device is revoked, and is refused from then on", async () => {
    const watching = run(phone, ["watch"]);
    expect((await watching.next()).value).toEqual({ revision: 1 });
    const owner = await world.owner();
    const beganMs = performance.now();
    await owner.call(METHODS.Device.Revoke, { device: "phone" });
    expect((await watching.next()).value).toMatchObject({
      ...{ failed: "UNAUTHENTICATED", code: "device.revoked", details: "this device was revoked" },
      hint: expect.stringContaining("pair anew"),
    });
    expect(performance.now() - beganMs).toBeLessThan(1_000);
    expect((await watching.next()).done).toBe(true);
    expect(await only(phone, "ping")).toMatchObject({ failed: "UNAVAILABLE", code: "" });
  });
});
