import { constants } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from "node:tls";
import { LIMITS } from "../core/index.ts";

/** One certificate with its key: PKCS#8 and X.509 in PEM. */
export interface TlsIdentity {
  readonly keyPem: string;
  readonly certificatePem: string;
}

/** What a server shows, and whom it trusts. */
export interface ServerTls {
  readonly identity: TlsIdentity;
  /** The authorities that client certificates are verified against in the strict context, PEM. */
  readonly caPem: string;
}

/**
 * Which TLS context a connection came through. Past `renewal` any key gets, and past `pairing` anybody at all, so that what is
 * judged afterwards is all there is.
 */
export type TlsContext = "strict" | "renewal" | "pairing";

export interface TlsDoorOptions extends ServerTls {
  /** TLS is through: `strict` has verified the peer's certificate, of `pairing` the window is open still. */
  readonly secured: (socket: TLSSocket, context: TlsContext) => void;
}

const REQUESTS_ALPN = "h2";

/**
 * TLS 1.3 in its contexts. Who shows no certificate is refused inside of the strict handshake (`certificate_required`);
 * Node looks at whether a certificate is trusted only when the handshake has ended, and drops the connection then, before
 * anything that came after it is read.
 *
 * Each pairing window has a context of its own, which ends with it: the only one that offers pairing's protocol.
 */
export class TlsDoor {
  readonly #secured: TlsDoorOptions["secured"];
  #tls: ServerTls;
  readonly #strict: Server;
  readonly #renewal: Server;
  #pairing: Server | undefined;

  constructor({ secured, ...tls }: TlsDoorOptions) {
    this.#secured = secured;
    this.#tls = tls;
    this.#strict = this.#open([REQUESTS_ALPN], (socket) => secured(socket, "strict"), "verified");
    this.#renewal = this.#open([REQUESTS_ALPN], (socket) => secured(socket, "renewal"), "any key");
  }

  get isPairing(): boolean {
    return this.#pairing !== undefined;
  }

  /** Until disposed, `pairing` can be entered. @throws TypeError when a window is open already. */
  openPairing(alpn: string): Disposable {
    if (this.#pairing !== undefined) throw new TypeError("TlsDoor.openPairing: a window is open already");
    const secured = (socket: TLSSocket): void => {
      // Its window has gone while it shook hands, and its right to come with it.
      const isLate = this.#pairing !== server && socket.alpnProtocol !== REQUESTS_ALPN;
      if (isLate) socket.destroy();
      else this.#secured(socket, "pairing");
    };
    const server: Server = this.#open([REQUESTS_ALPN, alpn], secured, "any key");
    this.#pairing = server;
    return {
      [Symbol.dispose]: () => {
        if (this.#pairing === server) this.#pairing = undefined;
      },
    };
  }

  /** Begins TLS on a fresh connection. `pairing` where no window is open is `strict`. */
  enter(socket: Socket, context: TlsContext): void {
    this.#server(context).emit("connection", socket);
  }

  /** For connections from now on. */
  replace(tls: ServerTls): void {
    this.#tls = tls;
    for (const server of [this.#strict, this.#renewal, this.#pairing])
      server?.setSecureContext(contextOptions(tls));
  }

  #server(context: TlsContext): Server {
    if (context === "renewal") return this.#renewal;
    return (context === "pairing" ? this.#pairing : undefined) ?? this.#strict;
  }

  #open(
    ALPNProtocols: string[],
    secured: (socket: TLSSocket) => void,
    certificates: "verified" | "any key",
  ): Server {
    const verification = { requestCert: true, rejectUnauthorized: certificates === "verified" };
    const handshakeTimeout = LIMITS.handshakeMs;
    return createServer(
      { ...contextOptions(this.#tls), ...verification, ALPNProtocols, handshakeTimeout },
      secured,
    ).on("tlsClientError", (_error, socket) => socket.destroy());
  }
}

/** Nothing is resumed: a session would stand for a certificate that nobody looks at again. */
function contextOptions({ identity, caPem }: ServerTls): SecureContextOptions {
  return {
    ...{ key: identity.keyPem, cert: identity.certificatePem, ca: caPem },
    minVersion: "TLSv1.3",
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}
