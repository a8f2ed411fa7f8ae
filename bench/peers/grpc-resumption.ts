/**
 * TLS session resumption for grpc-js, which has none of its own: its credentials open each connection with a whole
 * handshake. Node offers it, and a patient user of grpc-js can put it in where credentials make the TLS socket.
 */
import { connect, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { ChannelCredentials, credentials, type experimental } from "@grpc/grpc-js";
import { SERVER_NAME, type TlsMaterial } from "../contender.ts";

/** What is kept over the connections to one server. */
export interface Kept {
  readonly context: SecureContext;
  /** The newest; used again until another comes, as Node's own https agent does: a resumed connection brings none. */
  ticket: Buffer | undefined;
}

export function keepTickets({ ca, certificate, key }: TlsMaterial): Kept {
  return { context: createSecureContext({ ca, cert: certificate, key }), ticket: undefined };
}

/** For one connection. */
export class ResumingCredentials extends ChannelCredentials {
  readonly #kept: Kept;
  #socket: TLSSocket | undefined;

  constructor(kept: Kept) {
    super();
    this.#kept = kept;
  }

  get isResumed(): boolean {
    return this.#socket?.isSessionReused() ?? false;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(): experimental.SecureConnector {
    return {
      connect: async (socket) => {
        const secured = connect({
          ...{ socket, secureContext: this.#kept.context, servername: SERVER_NAME, ALPNProtocols: ["h2"] },
          ...(this.#kept.ticket === undefined ? {} : { session: this.#kept.ticket }),
        });
        this.#socket = secured;
        secured.on("session", (ticket) => {
          this.#kept.ticket = ticket;
        });
        await new Promise<void>((resolve, reject) => {
          secured.once("secureConnect", resolve).once("error", reject);
        });
        return { socket: secured, secure: true };
      },
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => credentials.createEmpty(),
      destroy: () => undefined,
    };
  }
}
