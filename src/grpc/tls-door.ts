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

/** Which TLS context a connection came through: past `renewal` any key gets, so that admission is all there is. */
export type TlsContext = "strict" | "renewal";

export interface TlsDoorOptions extends ServerTls {
  /** TLS is through: `strict` has verified the peer's certificate. */
  readonly secured: (socket: TLSSocket, context: TlsContext) => void;
}

/**
 * TLS 1.3 in its two contexts. Who shows no certificate is refused inside of the strict handshake (`certificate_required`);
 * Node looks at whether a certificate is trusted only when the handshake has ended, and drops the connection then, before
 * anything that came after it is read.
 */
export class TlsDoor {
  readonly #servers: Readonly<Record<TlsContext, Server>>;

  constructor({ secured, ...tls }: TlsDoorOptions) {
    const open = (context: TlsContext): Server =>
      createServer(
        {
          ...contextOptions(tls),
          ...{ requestCert: true, rejectUnauthorized: context === "strict", ALPNProtocols: ["h2"] },
          handshakeTimeout: LIMITS.handshakeMs,
        },
        (socket) => secured(socket, context),
      ).on("tlsClientError", (_error, socket) => socket.destroy());
    this.#servers = { strict: open("strict"), renewal: open("renewal") };
  }

  /** Begins TLS on a fresh connection. */
  enter(socket: Socket, context: TlsContext): void {
    this.#servers[context].emit("connection", socket);
  }

  /** For connections from now on. */
  replace(tls: ServerTls): void {
    for (const server of Object.values(this.#servers)) server.setSecureContext(contextOptions(tls));
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
