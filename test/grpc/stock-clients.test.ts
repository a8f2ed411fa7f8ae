/**
 * Clients that others wrote, with nothing of ours but the schemas and what a device has on its disk: gRPC's C library by way of
 * Python, and grpc-js on OpenSSL, on OpenSSL held to what BoringSSL offers, and on BoringSSL itself, which Bun brings along.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createServer, type Server } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, METHODS } from "../../src/client/index.ts";
import type { Daemon } from "../../src/daemon/index.ts";
import { GrpcWorld, grpcOf } from "../daemon/grpc-world.ts";
import type { Credentials } from "../support/credentials.ts";
import { type KeyAlgorithm, TlsFixtures } from "../support/tls-fixtures.ts";

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const SCHEMAS = path("../../schemas");
const BUN = path("boringssl/node_modules/.bin/bun");
const PYTHON = "/usr/bin/python3";
const PROTOS = ["approvals", "health", "vault"].map((name) => `gatehouse/v1/${name}.proto`);

interface StockClient {
  readonly name: string;
  /** As its device is called. */
  readonly device: string;
  /** What to start, up to the address; `dir` is where `prepare` put things. */
  readonly command: (dir: string) => readonly string[];
  readonly prepare?: (dir: string) => void;
  /** What is missing on this machine; undefined when nothing is. */
  readonly lack?: string | undefined;
  /** What it does to a server whose key is of Ed25519: BoringSSL does not offer that unless it is told to, as Bun tells it. */
  readonly ed25519: "takes" | "refuses";
}

const grpcJs = (runtime: string, offer: "all" | "boringssl") => () => [
  ...[runtime, path("programs/stock-client.mjs"), offer, SCHEMAS],
];

const CLIENTS: readonly StockClient[] = [
  {
    ...{ name: "Python's gRPC", device: "python", ed25519: "takes" },
    command: (dir) => [PYTHON, path("programs/stock_client.py"), dir],
    prepare: preparePython,
    lack: missingForPython(),
  },
  {
    ...{ name: "grpc-js", device: "grpc-js", ed25519: "takes" },
    command: grpcJs(process.execPath, "all"),
  },
  {
    ...{ name: "grpc-js held to what BoringSSL offers", device: "grpc-js-limited", ed25519: "refuses" },
    command: grpcJs(process.execPath, "boringssl"),
  },
  {
    ...{ name: "grpc-js on BoringSSL", device: "grpc-js-boringssl", ed25519: "takes" },
    command: grpcJs(BUN, "all"),
    prepare: () => {
      expect(execFileSync(BUN, ["-p", "process.versions.boringssl"]).toString()).toMatch(/^[0-9a-f]{40}$/m);
    },
    lack: existsSync(BUN) ? undefined : "Bun: npm ci --prefix test/grpc/boringssl",
  },
];

function missingForPython(): string | undefined {
  if (spawnSync("protoc", ["--version"]).status !== 0) return "protoc";
  const imported = spawnSync(PYTHON, ["-c", "import grpc, google.protobuf"]);
  return imported.status === 0 ? undefined : "Python's grpc and protobuf";
}

function preparePython(dir: string): void {
  execFileSync("protoc", [`-I${SCHEMAS}`, `--python_out=${dir}`, ...PROTOS]);
  mkdirSync(join(dir, "standard"));
  // Not under its package's name: that is the library's own.
  const standard = join(SCHEMAS, "grpc/health/v1");
  execFileSync("protoc", [`-I${standard}`, `--python_out=${join(dir, "standard")}`, "health.proto"]);
}

for (const { name, lack } of CLIENTS) {
  if (lack !== undefined) console.log(`not tested with ${name}: this machine lacks ${lack}`);
}

type Line = Readonly<Record<string, unknown>>;

/** Where a client goes, and what it knows and shows there. */
interface Trip extends Pick<Credentials, "caPem" | "serverName"> {
  readonly address: string;
  readonly identity?: Pick<Credentials, "keyPem" | "certificatePem"> | undefined;
}

const world = new GrpcWorld();
const dir = mkdtempSync(join(tmpdir(), "gatehouse-stock-"));
let hall: Daemon;
let owner: Client;

beforeAll(async () => {
  hall = await world.serve();
  owner = await world.owner();
  await owner.call(METHODS.Vault.Put, { path: "api/token", value: Buffer.from("s3cret") });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe.each(CLIENTS)("$name", ({ device, command, prepare, lack, ed25519 }) => {
  const own = join(dir, device);
  let credentials: Credentials;

  beforeAll(async () => {
    if (lack !== undefined) return;
    mkdirSync(own);
    prepare?.(own);
    credentials = await world.pair(hall, device);
    await owner.call(METHODS.Device.Grant, { device, role: "owner" });
  });

  /** Its lines as they come; ends with the program. */
  async function* run(
    { address, serverName, caPem, identity }: Trip,
    ask: readonly string[],
  ): AsyncGenerator<Line> {
    const file = (name: string, text: string): string => {
      writeFileSync(join(own, name), text);
      return join(own, name);
    };
    const shown =
      identity === undefined
        ? ["", ""]
        : [file("c.pem", identity.certificatePem), file("k.pem", identity.keyPem)];
    const [program = "", ...before] = command(own);
    const child = spawn(program, [...before, address, serverName, file("ca.pem", caPem), ...shown, ...ask], {
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

  async function only(trip: Trip, ...ask: readonly string[]): Promise<Line> {
    const lines = [];
    for await (const line of run(trip, ask)) lines.push(line);
    expect(lines).toHaveLength(1);
    return lines[0] ?? {};
  }

  const to = (identity: Trip["identity"]): Trip => ({ ...credentials, address: grpcOf(hall), identity });

  it.skipIf(lack !== undefined)(
    "gets a secret, hears why it gets none, and asks after our health",
    async () => {
      const [value, none, all, unknown] = [
        await only(to(credentials), "get", "api/token"),
        await only(to(credentials), "get", "no/such"),
        await only(to(credentials), "check", ""),
        await only(to(credentials), "check", "made.up.Service"),
      ];
      expect(value).toEqual({ value: "s3cret" });
      expect(none).toMatchObject({ failed: "NOT_FOUND", code: "vault.not-found" });
      expect(all).toEqual({ status: "SERVING" });
      expect(unknown).toMatchObject({ failed: "NOT_FOUND", code: "rpc.unknown-service" });
    },
  );

  it.skipIf(lack !== undefined)("is refused by TLS without a certificate and with a stranger's", async () => {
    using strangers = new TlsFixtures("stranger");
    for (const identity of [undefined, strangers.selfSigned("self")]) {
      const before = await counter("grpcFailedHandshakes");
      expect(await only(to(identity), "ping")).toMatchObject({ failed: "UNAVAILABLE", code: "" });
      expect(await counter("grpcFailedHandshakes")).toBeGreaterThan(before);
    }
  });

  it.skipIf(lack !== undefined)(
    "streams approvals until its device is revoked, and is refused from then on",
    async () => {
      const watching = run(to(credentials), ["watch"]);
      expect((await watching.next()).value).toEqual({ revision: 1 });
      await owner.call(METHODS.Device.Revoke, { device });
      expect((await watching.next()).value).toMatchObject({
        ...{ failed: "UNAUTHENTICATED", code: "device.revoked", details: "this device was revoked" },
        hint: expect.stringContaining("pair"),
      });
      expect((await watching.next()).done).toBe(true);
      const before = await counter("grpcRefused");
      expect(await only(to(credentials), "ping")).toMatchObject({ failed: "UNAVAILABLE", code: "" });
      expect(await counter("grpcRefused")).toBeGreaterThan(before);
    },
  );

  it.skipIf(lack !== undefined)(`${ed25519} a server whose key is of Ed25519`, async () => {
    using fixtures = new TlsFixtures();
    expect(await knockAt(fixtures, "P-256")).toBe("secured");
    expect(await knockAt(fixtures, "Ed25519")).toBe(
      ed25519 === "takes" ? "secured" : "ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM",
    );
  });

  /** What becomes of its handshake with a server that shows a leaf of such a key. */
  async function knockAt(fixtures: TlsFixtures, algorithm: KeyAlgorithm): Promise<string> {
    const { keyPem, certificatePem } = fixtures.leaf(algorithm.toLowerCase(), "serverAuth", algorithm);
    const server = createServer({
      ...{ key: keyPem, cert: certificatePem, ALPNProtocols: ["h2"], minVersion: "TLSv1.3" },
    });
    try {
      const outcome = outcomeOf(server);
      const serverName = `${algorithm.toLowerCase()}.gatehouse.internal`;
      const address = `127.0.0.1:${await listening(server)}`;
      const said = await only({ address, serverName, caPem: fixtures.caPem }, "ping");
      expect(said).toMatchObject({ failed: "UNAVAILABLE", code: "" });
      return await outcome;
    } finally {
      server.close();
    }
  }
});

/** Of what came to the door. */
async function counter(name: string): Promise<number> {
  const { counters } = await owner.call(METHODS.Health.Status, {});
  const found = (counters ?? []).find((one) => one.name === name);
  if (found === undefined) throw new Error(`nobody counts ${name}`);
  return Number(found.value);
}

function listening(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

/** Of the first connection: `secured`, or the code that TLS failed with. */
function outcomeOf(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.on("secureConnection", (socket) => {
      resolve("secured");
      socket.on("error", () => undefined);
      socket.destroy();
    });
    server.on("tlsClientError", (failure: NodeJS.ErrnoException) => resolve(failure.code ?? failure.message));
  });
}
