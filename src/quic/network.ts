import type { Logger } from "../core/index.ts";
import type { SocketAddress } from "./address.ts";

/** `datagram` is the receiver's to keep. */
export type OnDatagram = (datagram: Buffer, from: SocketAddress) => void;

/** One bound socket, and the pool of buffers that its sends borrow. */
export interface DatagramSocket extends AsyncDisposable {
  /** Concrete: no wildcard, no port 0. The same object for the socket's life. */
  readonly address: SocketAddress;
  /** True when so many sends wait that the caller should come back later. */
  readonly isCongested: boolean;
  /** Called once. `failed` gets what is learnt of earlier sends, such as ECONNREFUSED. */
  listen(onDatagram: OnDatagram, failed: (error: NodeJS.ErrnoException) => void): void;
  /** An empty packet buffer; give it back by `send` or `release`. */
  acquire(): Buffer;
  release(buffer: Buffer): void;
  /** Takes `buffer` (from `acquire`), of which its first `length` bytes are sent. Losses are the network's business. */
  send(buffer: Buffer, length: number, to: SocketAddress): void;
}

/** Where datagrams go: the machine's own network, or one that a test makes up. */
export interface Network {
  /** @throws quic.address-in-use, quic.bad-address */
  bind(local: SocketAddress, logger: Logger): Promise<DatagramSocket>;
  /** A socket that speaks with `remote` only, from the local address that leads there. @throws quic.bad-address */
  connect(remote: SocketAddress, logger: Logger): Promise<DatagramSocket>;
  /** The addresses of this machine, link-local ones left out: each wildcard is bound to all of its family. */
  localAddresses(family: 4 | 6): readonly string[];
}
