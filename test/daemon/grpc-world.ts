/** A running gatehouse with devices of it, as those see them who call it over gRPC. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { certificatePem, gatehouseHost } from "../../src/certs/index.ts";
import { openHomeIdentity } from "../../src/client/home-identity.ts";
import { type Client, connect, joinGatehouse } from "../../src/client/index.ts";
import { localGatehouse } from "../../src/client/local-gatehouse.ts";
import { Resources, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { Daemon, type DaemonOptions } from "../../src/daemon/index.ts";
import { homeLayout } from "../../src/files/index.ts";
import { type Credentials, credentialsIn } from "../support/credentials.ts";
import { GrpcJsCaller } from "../support/grpc-js-caller.ts";

const LISTEN_MS = 15_000;
const LOOPBACK = { host: "127.0.0.1", port: 0 };

export class GrpcWorld implements AsyncDisposable {
  readonly #dir = mkdtempSync(join(tmpdir(), "gatehouse-grpc-"));
  readonly #resources = new Resources();

  home(name: string): string {
    return join(this.#dir, name);
  }

  /** Serves `name`'s home; made first where there is none. */
  async serve(name = "hall", overrides: Partial<DaemonOptions> = {}): Promise<Daemon> {
    return this.#resources.use(
      await Daemon.start({
        ...{
          home: this.home(name),
          keyDir: join(this.#dir, `${name}-keys`),
          listen: [LOOPBACK],
          init: { name },
        },
        ...{ version: "0.0.0", pid: 1, clock: systemClock, random: systemRandom, logger: silentLogger },
        ...overrides,
      }),
    );
  }

  async pair(daemon: Daemon, name: string): Promise<Credentials> {
    const signal = new AbortController().signal;
    const { value } = await daemon.openPairing({ role: "member" }, signal)[Symbol.asyncIterator]().next();
    if (value?.kind !== "opened" || value.code === undefined) throw new Error("the window did not open");
    const device = { name, kind: "test", platform: "test" };
    const target = { target: daemon.ready.quic, code: value.code };
    await joinGatehouse({ home: this.home(name), ...target, ...device });
    return credentialsIn(this.home(name));
  }

  async owner(name = "hall"): Promise<Client> {
    return this.#resources.use(await connect({ home: this.home(name) }));
  }

  async ownerCredentials(name = "hall"): Promise<Credentials> {
    const layout = homeLayout(this.home(name));
    const identity = await openHomeIdentity(layout);
    const own = await localGatehouse(layout, identity);
    if (own === undefined) throw new Error("no gatehouse lives there");
    return {
      ...{ certificatePem: certificatePem(own.certificate), keyPem: identity.tls.privateKeyPem },
      caPem: own.caCertificates.map(certificatePem).join(""),
      serverName: gatehouseHost(own.gatehouseId),
    };
  }

  /** A stock client; without `identity` of one's own with the device's. */
  caller(
    daemon: Daemon,
    credentials: Credentials,
    identity: Pick<Credentials, "keyPem" | "certificatePem"> | undefined = credentials,
  ): GrpcJsCaller {
    const { serverName, caPem } = credentials;
    const options = { address: grpcOf(daemon), serverName, caPem };
    return this.#resources.use(new GrpcJsCaller(identity === undefined ? options : { ...options, identity }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

export function grpcOf({ ready }: Daemon): string {
  if (ready.grpc === undefined) throw new Error("gRPC is off");
  return ready.grpc;
}

/** What the server's side of a TLS connection came to. */
export interface Knock {
  readonly protocol: string | null;
  /** All that the server said after the handshake, latin1. */
  readonly said: string;
  readonly failure: string | undefined;
  /** Of the certificate that the server showed. */
  readonly serial: string | undefined;
}

/** Opens TLS with whatever `options` say, sends a well-formed HTTP/2 greeting, and listens until the end, or the first word. */
export function knock(
  daemon: Daemon,
  { caPem, serverName }: Credentials,
  options: ConnectionOptions = {},
  listenTo: "end" | "first word" = "end",
): Promise<Knock> {
  const [host = "", port = ""] = grpcOf(daemon).split(":");
  return new Promise((resolve) => {
    const socket = connectTls({
      ...{ host, port: Number(port), ca: caPem, servername: serverName, ALPNProtocols: ["h2"] },
      ...options,
    });
    let said = "";
    let failure: string | undefined;
    let [protocol, serial]: [string | null, string | undefined] = [null, undefined];
    socket.once("secureConnect", () => {
      protocol = socket.getProtocol();
      serial = socket.getPeerX509Certificate()?.serialNumber;
      socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
      socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    });
    socket.on("data", (chunk: Buffer) => {
      said += chunk.toString("latin1");
      if (listenTo === "first word") socket.destroy();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      failure = error.code ?? error.message;
    });
    const timer = setTimeout(() => socket.destroy(), LISTEN_MS);
    socket.once("close", () => {
      clearTimeout(timer);
      resolve({ protocol, said, failure, serial });
    });
  });
}
