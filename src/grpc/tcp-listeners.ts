import { lookup } from "node:dns/promises";
import { createServer, isIP, type Server, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { GatehouseError } from "../core/index.ts";
import type { TcpAddress } from "./connection.ts";

/** The kernel holds so many that we have not taken yet. */
const BACKLOG = 511;

/** The sockets of a server: one for each address. A wildcard is one socket, whose connections know their own addresses. */
export class TcpListeners implements AsyncDisposable {
  readonly #servers: Server[] = [];
  readonly #arrived: (socket: Socket) => void;

  private constructor(arrived: (socket: Socket) => void) {
    this.#arrived = arrived;
  }

  /** @throws quic.address-in-use, quic.bad-address */
  static async open(listen: readonly TcpAddress[], arrived: (socket: Socket) => void): Promise<TcpListeners> {
    const listeners = new TcpListeners(arrived);
    try {
      for (const address of listen) await listeners.#listen(address);
    } catch (failure) {
      await listeners[Symbol.asyncDispose]();
      throw failure;
    }
    return listeners;
  }

  /** In the order they were asked for; a wildcard as each address of this machine by itself. */
  get addresses(): readonly TcpAddress[] {
    return this.#servers.flatMap((server) => {
      const bound = server.address();
      if (bound === null || typeof bound === "string") return [];
      return concrete(bound.address).map((host) => ({ host, port: bound.port }));
    });
  }

  /** Takes no more connections; those there are stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers.splice(0)) server.close();
  }

  async #listen(address: TcpAddress): Promise<void> {
    const { port } = address;
    const host = await numeric(address);
    const server = createServer({ noDelay: true, keepAlive: false }, this.#arrived);
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) => reject(listenError(cause, { host, port })));
      server.listen({ host, port, ipv6Only: host === "::", exclusive: true, backlog: BACKLOG }, () => {
        server.removeAllListeners("error");
        // What the kernel says of one connection it could not hand over is nothing to end for.
        server.on("error", () => undefined);
        this.#servers.push(server);
        resolve();
      });
    });
  }
}

/** A name's IPv4 address before others, as QUIC's sockets take it. @throws quic.bad-address */
async function numeric({ host, port }: TcpAddress): Promise<string> {
  if (isIP(host) !== 0) return host;
  // No address at all is an error, and so an empty list is none of its answers.
  const found = await lookup(host, { all: true }).catch((cause: NodeJS.ErrnoException) => {
    throw listenError(cause, { host, port });
  });
  return (found.find(({ family }) => family === 4) ?? found[0])?.address ?? host;
}

function concrete(host: string): readonly string[] {
  if (host !== "0.0.0.0" && host !== "::") return [host];
  const family = host === "::" ? "IPv6" : "IPv4";
  return Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).filter((entry) => entry.family === family).map(({ address }) => address),
  );
}

function listenError(cause: NodeJS.ErrnoException, { host, port }: TcpAddress): GatehouseError {
  const where = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  if (cause.code === "EADDRINUSE") {
    return new GatehouseError("quic.address-in-use", `the TCP port of ${where} is taken`, {
      hint: "stop the other process, or choose another address with --grpc HOST:PORT, or --grpc off",
      cause,
    });
  }
  return new GatehouseError("quic.bad-address", `cannot use ${where} for gRPC (${cause.code ?? "unknown"})`, {
    hint: "use an address of this machine and a port above 1023",
    cause,
  });
}
