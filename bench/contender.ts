/** What every contender of a suite offers, so that one load generator drives them all. */

/** Pings carry so much up and back; `read` answers 200 B: for us an authorized, audited vault read. */
export type Operation = "ping" | "ping-2k" | "ping-64k" | "read";

export const PAYLOAD_BYTES = {
  ping: 64,
  "ping-2k": 2_048,
  "ping-64k": 65_536,
  read: 200,
} as const satisfies Record<Operation, number>;

/** What a call carries up. */
export const PAYLOADS: Readonly<Record<Operation, Buffer>> = {
  ping: Buffer.alloc(PAYLOAD_BYTES.ping, 7),
  "ping-2k": Buffer.alloc(PAYLOAD_BYTES["ping-2k"], 7),
  "ping-64k": Buffer.alloc(PAYLOAD_BYTES["ping-64k"], 7),
  read: Buffer.alloc(PAYLOAD_BYTES.read, 7),
};

/**
 * How a connection began: by a whole handshake, by a shorter one from a ticket of an earlier connection, or by one whose
 * first call travelled with its first packets.
 */
export type Start = "cold" | "resumed" | "early";

/** One connection. */
export interface Caller extends AsyncDisposable {
  /** How it did begin, once a call was answered; left out by those that know only cold starts. */
  start?(): Start;
  /** What its handshake took, once a call was answered, when neither `connect` nor `established` tells. */
  handshakeMs?(): number;
  /** When `connect` does not wait for it: resolves once the handshake is done. */
  established?(): Promise<void>;
  /** One whole call; rejects when the answer is not the one expected. */
  call(operation: Operation): Promise<void>;
}

/** The client side: `connect` does everything a cold start needs, from key material to a usable connection. */
export interface ContenderClient {
  connect(): Promise<Caller>;
  /** The starts that an application can ask for; left out: `connect` is cold, and there is no other. */
  readonly starts?: Readonly<Partial<Record<Start, () => Promise<Caller>>>>;
}

/** Where a process of a run lives: on this machine's loopback, or at one end of an emulated link. */
export interface Place {
  /** IPv4 address to listen on. */
  readonly host: string;
  /** A network namespace; needs root. */
  readonly namespace?: string;
}

export const LOOPBACK: Place = { host: "127.0.0.1" };

/** A server that echoes. */
export interface EchoServer extends AsyncDisposable {
  readonly port: number;
}

/** PEM texts of one side of a mutually authenticated connection. */
export interface TlsMaterial {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** The name in the peers' server certificate. */
export const SERVER_NAME = "server.bench.internal";
