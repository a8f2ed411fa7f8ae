import { certificatePem } from "../../certs/index.ts";
import { concat, equalBytes } from "../../core/index.ts";
import type { TlsIdentity } from "../../identity/index.ts";
import { ClientTls } from "../../quic/index.ts";
import type { Remote } from "../remotes.ts";

export const REQUESTS_ALPN = "gatehouse/1";

/** What connections to one gatehouse rest on: this device's certificate there, its key, and the authorities. */
export class Trust {
  readonly identity: { readonly keyPem: string; readonly certificatePem: string };
  readonly caPem: string;
  readonly caCertificates: readonly Uint8Array[];
  readonly #certificate: Uint8Array;
  readonly #idleMs: number;
  #quic: Promise<ClientTls> | undefined;

  constructor(
    { certificate, caCertificates }: Remote,
    key: Pick<TlsIdentity, "privateKeyPem">,
    idleMs: number,
  ) {
    this.identity = { keyPem: key.privateKeyPem, certificatePem: certificatePem(certificate) };
    this.caCertificates = caCertificates;
    this.caPem = caCertificates.map(certificatePem).join("");
    this.#certificate = certificate;
    this.#idleMs = idleMs;
  }

  /** A certificate that was renewed, or another authority, makes a new one. */
  fits({ certificate, caCertificates }: Remote, idleMs: number): boolean {
    return (
      this.#idleMs === idleMs &&
      equalBytes(this.#certificate, certificate) &&
      equalBytes(concat(...this.caCertificates), concat(...caCertificates))
    );
  }

  /** QUIC's own TLS context, made once. @throws quic.unsupported-platform */
  quic(): Promise<ClientTls> {
    this.#quic ??= ClientTls.create({
      identity: this.identity,
      verification: { kind: "strict", caPem: this.caPem },
      ...{ alpn: REQUESTS_ALPN, idleMs: this.#idleMs },
    });
    return this.#quic;
  }
}
