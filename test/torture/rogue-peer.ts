/** A paired device gone bad: the bare library under the flood's own hand, sending from whatever address it likes. */
import { randomBytes } from "node:crypto";
import { native } from "@matrixai/quic";
import type { TlsIdentity } from "../../src/quic/index.ts";
import type { Sources } from "./sources.ts";

const { Config, Connection } = native.quiche;

export type NativeConfig = ReturnType<typeof Config.withBoringSslCtx>;
export type NativeConnection = ReturnType<typeof Connection.connect>;

const PACKET_BYTES = 1_500;
const WINDOW_BYTES = 1_000_000;
/** It never says goodbye: its connections end so long after their last packet. */
const IDLE_MS = 8_000;
const CONNECTION_IDS = 8;
const CONNECTION_ID_BYTES = 16;
const PACKETS_PER_PUMP = 16;
/** What the library is told its own address is, wherever its packets leave from. */
const LOCAL = { host: "127.0.0.2", port: 1 };

export interface Target {
  readonly port: number;
  /** DNS name of the gatehouse. */
  readonly serverName: string;
  /** Of a paired device; undefined for strangers. */
  readonly identity?: TlsIdentity | undefined;
}

/** A TLS context that believes any server. */
export function rogueConfig({ identity }: Target): NativeConfig {
  const config = Config.withBoringSslCtx(
    false,
    true,
    null,
    identity === undefined ? null : [Buffer.from(identity.keyPem)],
    identity === undefined ? null : [Buffer.from(identity.certificatePem)],
    null,
  );
  config.setApplicationProtos(["gatehouse/1"]);
  config.setMaxIdleTimeout(IDLE_MS);
  config.setActiveConnectionIdLimit(CONNECTION_IDS);
  config.setInitialMaxData(WINDOW_BYTES);
  config.setInitialMaxStreamDataBidiLocal(WINDOW_BYTES);
  return config;
}

/** A connection that has sent nothing yet; its destination connection id is the library's, at random. */
export function rogueConnection(target: Target, config: NativeConfig): NativeConnection {
  return Connection.connect(
    target.serverName,
    randomBytes(CONNECTION_ID_BYTES),
    LOCAL,
    remoteOf(target),
    config,
  );
}

export function remoteOf({ port }: Target): { host: string; port: number } {
  return { host: "127.0.0.1", port };
}

/** The next datagram that the library wants to send; undefined when there is none. */
export function nextDatagram(connection: NativeConnection): Buffer | undefined {
  const buffer = Buffer.allocUnsafe(PACKET_BYTES);
  const packet = connection.send(buffer);
  return packet === null ? undefined : buffer.subarray(0, packet[0]);
}

/** One connection of a rogue device, made again by itself whenever the door ends it. */
export class RoguePeer {
  readonly #target: Target;
  readonly #config: NativeConfig;
  readonly #sources: Sources;
  #connection: NativeConnection;
  #connections = 1;

  constructor(target: Target, config: NativeConfig, sources: Sources) {
    this.#target = target;
    this.#config = config;
    this.#sources = sources;
    this.#connection = rogueConnection(target, config);
  }

  /** Connections made so far. */
  get connections(): number {
    return this.#connections;
  }

  /** The connection, once the door may have let it in. */
  get established(): NativeConnection | undefined {
    return this.#connection.isEstablished() && !this.#connection.isDraining() ? this.#connection : undefined;
  }

  /** A datagram of the door's. */
  receive(datagram: Buffer): void {
    try {
      this.#connection.recv(datagram, { from: remoteOf(this.#target), to: LOCAL });
    } catch {
      // Of an earlier connection, or one that ends this one: `pump` sees to that.
    }
  }

  /** Sends what the library wants to send from the socket `via`; answers how many datagrams. */
  pump(via: number): number {
    this.#renew();
    for (let sent = 0; sent < PACKETS_PER_PUMP; sent += 1) {
      const datagram = this.#take();
      if (datagram === undefined) return sent;
      this.#sources.send(via, datagram, this.#target.port);
    }
    return PACKETS_PER_PUMP;
  }

  /** Gives the door what it needs to answer on further paths. */
  stockConnectionIds(): void {
    const connection = this.#connection;
    while (connection.sourceCidsLeft() > 0) {
      const resetToken = BigInt(`0x${randomBytes(16).toString("hex")}`);
      connection.newSourceCid(randomBytes(CONNECTION_ID_BYTES), resetToken, true);
    }
  }

  #take(): Buffer | undefined {
    try {
      return nextDatagram(this.#connection);
    } catch {
      return undefined;
    }
  }

  #renew(): void {
    if ((this.#connection.timeout() ?? 1) <= 0) this.#connection.onTimeout();
    if (!this.#connection.isDraining() && !this.#connection.isClosed()) return;
    this.#connection = rogueConnection(this.#target, this.#config);
    this.#connections += 1;
  }
}
