/** One router behind each of the wires there are, and a client of it. */
import { GatehouseError, Resources, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { connectGrpc, GrpcServer } from "../../src/grpc/index.ts";
import { Caller, type CallStream, Router, type RouterOptions } from "../../src/rpc/index.ts";
import { Endpoints } from "../quic/endpoints.ts";
import { GrpcJsCaller } from "./grpc-js-caller.ts";
import { memoryStreams } from "./memory-wire.ts";

/** Calls by way of a wire that is there already. */
export type WireCaller = Pick<GrpcJsCaller, "unary" | "clientStream" | "serverStream" | "bidiStream">;

export interface Wire extends AsyncDisposable {
  readonly router: Router<string>;
  readonly caller: WireCaller;
  /** What the router logged as failures of its own. */
  readonly failures: readonly unknown[];
}

export const PEER = "someone";
export const WIRE_NAMES = ["memory", "QUIC", "gRPC", "gRPC by grpc-js"] as const;
export type WireName = (typeof WIRE_NAMES)[number];

/** Fixtures are made once for all: OpenSSL takes its time. */
export class Wires implements Disposable {
  readonly #endpoints = new Endpoints();

  async open(name: WireName, options: Partial<RouterOptions<string>> = {}): Promise<Wire> {
    await using resources = new Resources();
    const failures: unknown[] = [];
    const log = {
      ...silentLogger,
      error: (_event: string, fields?: Readonly<Record<string, unknown>>) =>
        void failures.push(fields?.["error"]),
    };
    const router = resources.use(new Router<string>({ clock: systemClock, log, ...options }));
    const caller = await this.#dial(name, router, resources);
    const owned = resources.move();
    return { router, caller, failures, [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() };
  }

  async #dial(name: WireName, router: Router<string>, resources: Resources): Promise<WireCaller> {
    switch (name) {
      case "memory":
        return framed(resources, () => {
          const { near, far } = memoryStreams();
          router.serve(far, PEER);
          return near;
        });
      case "QUIC":
        return this.#quic(router, resources);
      case "gRPC":
        return this.#grpc(router, resources);
      case "gRPC by grpc-js":
        return this.#grpcJs(router, resources);
    }
  }

  async #quic(router: Router<string>, resources: Resources): Promise<WireCaller> {
    const server = resources.use(
      await this.#endpoints.listen({
        admit: () => ({
          kind: "admitted",
          accept: (connection) => connection.onStream((stream) => router.serve(stream, PEER)),
        }),
      }),
    );
    const client = resources.use(await this.#endpoints.dial(server.address));
    return framed(resources, () => client.connection.openStream());
  }

  async #grpc(router: Router<string>, resources: Resources): Promise<WireCaller> {
    const server = resources.use(await this.listenGrpc(router));
    const { connection } = resources.use(
      await connectGrpc({
        address: { host: "127.0.0.1", port: server.addresses[0]?.port ?? 0 },
        serverName: "server.gatehouse.internal",
        identity: this.#endpoints.device,
        verification: { kind: "strict", caPem: this.#endpoints.fixtures.caPem },
        clock: systemClock,
      }),
    );
    return framed(resources, () => connection.openStream());
  }

  async #grpcJs(router: Router<string>, resources: Resources): Promise<WireCaller> {
    const server = resources.use(await this.listenGrpc(router));
    const [address] = server.addresses;
    return resources.use(
      new GrpcJsCaller({
        address: `127.0.0.1:${address?.port}`,
        serverName: "server.gatehouse.internal",
        caPem: this.#endpoints.fixtures.caPem,
        identity: this.#endpoints.device,
      }),
    );
  }

  listenGrpc(router: Router<string>): Promise<GrpcServer<string>> {
    return GrpcServer.listen<string>({
      ...{ listen: [{ host: "127.0.0.1", port: 0 }], clock: systemClock, logger: silentLogger },
      ...{ identity: this.#endpoints.server, caPem: this.#endpoints.fixtures.caPem },
      admit: () => ({
        kind: "admitted",
        accept: (connection) => connection.onStream((stream) => router.serve(stream, PEER)),
      }),
      closing: (_cause, reason) => new GatehouseError("rpc.draining", reason),
    });
  }

  get endpoints(): Endpoints {
    return this.#endpoints;
  }

  [Symbol.dispose](): void {
    this.#endpoints[Symbol.dispose]();
  }
}

function framed(resources: Resources, open: () => CallStream): WireCaller {
  const caller = resources.use(new Caller({ clock: systemClock, random: systemRandom }));
  return {
    unary: (method, request, options) => caller.unary(open, method, request, options),
    clientStream: (method, requests, options) => caller.clientStream(open, method, requests, options),
    serverStream: (method, request, options) => caller.serverStream(open, method, request, options),
    bidiStream: (method, requests, options) => caller.bidiStream(open, method, requests, options),
  };
}
