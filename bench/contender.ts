/** What every contender of a suite offers, so that one load generator drives them all. */

/** `ping` carries 64 B up and back; `read` answers 200 B: for us an authorized, audited vault read. */
export type Operation = "ping" | "read";

export const PAYLOAD_BYTES = { ping: 64, read: 200 } as const satisfies Record<Operation, number>;

/** One open connection. */
export interface Caller extends AsyncDisposable {
  /** One whole call; rejects when the answer is not the one expected. */
  call(operation: Operation): Promise<void>;
}

/** The client side: `connect` does everything a cold start needs, from key material to a usable connection. */
export interface ContenderClient {
  connect(): Promise<Caller>;
}

/** A server that listens on 127.0.0.1 and echoes. */
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
