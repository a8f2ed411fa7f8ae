/** A joiner over a real connection, in the test's hand: it may leave whenever the test wants. */
import { certificatePem, createTlsRequest, selfSignedLeaf } from "../../src/certs/index.ts";
import { LIMITS, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { type DialledTls, dialTls, SocketStream, tlsExporter } from "../../src/grpc/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import {
  type ChannelBinding,
  type JoinedPairing,
  joinPairing,
  PAIRING_ALPN,
  PairingInitiator,
  type PairingInitiatorOptions,
  type PairingSecret,
  type PairingStream,
} from "../../src/pairing/index.ts";
import {
  ClientTls,
  connectQuic,
  type QuicClientConnection,
  type SocketAddress,
} from "../../src/quic/index.ts";

const [clock, random, logger] = [systemClock, systemRandom, silentLogger];

export interface DialOptions {
  readonly address: SocketAddress;
  readonly secret: PairingSecret;
  /** Default `quic`. */
  readonly wire?: "quic" | "tcp";
  readonly asInitiator?: Partial<PairingInitiatorOptions>;
}

const SERVER_NAME = "pairing.gatehouse.internal";

interface Link extends AsyncDisposable {
  readonly stream: PairingStream;
  readonly peerCertificate: Uint8Array;
  readonly binding: ChannelBinding;
}

/** A device that has paired with nobody yet. */
export class Newcomer {
  readonly identity: DeviceIdentity;
  readonly certificate: Uint8Array;
  readonly certificateRequest: Uint8Array;

  private constructor(identity: DeviceIdentity, certificate: Uint8Array, certificateRequest: Uint8Array) {
    this.identity = identity;
    this.certificate = certificate;
    this.certificateRequest = certificateRequest;
  }

  static async make(): Promise<Newcomer> {
    const identity = DeviceIdentity.generate(random);
    const certificate = await selfSignedLeaf(identity, clock.now(), random);
    return new Newcomer(identity, certificate, await createTlsRequest(identity));
  }

  /** A connection that asks for pairing, whoever is at the other end. */
  async connect(address: SocketAddress): Promise<QuicClientConnection> {
    return await connectQuic({
      ...{ clock, random, logger, address, serverName: SERVER_NAME },
      timeoutMs: LIMITS.handshakeMs,
      tls: await ClientTls.create({
        identity: this.tlsIdentity,
        ...{ verification: { kind: "danger-any-key" }, alpn: PAIRING_ALPN },
      }),
    });
  }

  /** The same over TCP. */
  async connectTcp(address: SocketAddress): Promise<DialledTls> {
    return await dialTls({
      ...{ address, clock, serverName: SERVER_NAME, alpn: PAIRING_ALPN, identity: this.tlsIdentity },
      verification: { kind: "danger-any-key" },
    });
  }

  async dial({ address, secret, wire = "quic", asInitiator }: DialOptions): Promise<Dialled> {
    const link = await (wire === "quic" ? this.#quic(address) : this.#tcp(address));
    const { identity, certificate, certificateRequest } = this;
    const { peerCertificate, binding } = link;
    const initiator = new PairingInitiator({
      ...{ secret, identity, certificate, peerCertificate, certificateRequest, clock, random },
      ...{ name: "newcomer", kind: "test", platform: "test", binding },
      ...asInitiator,
    });
    return new Dialled(link, initiator);
  }

  get tlsIdentity() {
    return { keyPem: this.identity.tls.privateKeyPem, certificatePem: certificatePem(this.certificate) };
  }

  async #quic(address: SocketAddress): Promise<Link> {
    const quic = await this.connect(address);
    const [peerCertificate = new Uint8Array(0)] = quic.connection.peerCertificates;
    return {
      ...{ peerCertificate, binding: { kind: "none" }, stream: quic.connection.openStream() },
      [Symbol.asyncDispose]: () => quic[Symbol.asyncDispose](),
    };
  }

  async #tcp(address: SocketAddress): Promise<Link> {
    const { socket, peerCertificates } = await this.connectTcp(address);
    const [peerCertificate = new Uint8Array(0)] = peerCertificates;
    return {
      ...{ peerCertificate, stream: new SocketStream(socket) },
      binding: { kind: "tls-exporter", bytes: tlsExporter(socket) },
      [Symbol.asyncDispose]: async () => void socket.destroy(),
    };
  }
}

export class Dialled implements AsyncDisposable {
  /** Resolves when the gatehouse has said that it asks somebody. */
  readonly pending: Promise<number>;
  /** What becomes of it; handled, so that a test may look late. */
  readonly joined: Promise<JoinedPairing>;
  readonly #link: Link;

  constructor(link: Link, initiator: PairingInitiator) {
    this.#link = link;
    let onPending: (timeoutMs: number) => void = () => undefined;
    this.pending = new Promise((resolve) => {
      onPending = resolve;
    });
    const { signal } = new AbortController();
    this.joined = joinPairing(link.stream, initiator, { signal, clock, onPending });
    this.joined.catch(() => undefined);
  }

  /** Ends the connection, whatever was under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link[Symbol.asyncDispose]();
  }
}
