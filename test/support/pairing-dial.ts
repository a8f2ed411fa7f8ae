/** A joiner over a real connection, in the test's hand: it may leave whenever the test wants. */
import { certificatePem, createTlsRequest, selfSignedLeaf } from "../../src/certs/index.ts";
import { LIMITS, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import {
  type JoinedPairing,
  joinPairing,
  PAIRING_ALPN,
  PairingInitiator,
  type PairingInitiatorOptions,
  type PairingSecret,
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
  readonly asInitiator?: Partial<PairingInitiatorOptions>;
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
      ...{ clock, random, logger, address, serverName: "pairing.gatehouse.internal" },
      timeoutMs: LIMITS.handshakeMs,
      tls: await ClientTls.create({
        identity: {
          keyPem: this.identity.tls.privateKeyPem,
          certificatePem: certificatePem(this.certificate),
        },
        ...{ verification: { kind: "danger-any-key" }, alpn: PAIRING_ALPN },
      }),
    });
  }

  async dial({ address, secret, asInitiator }: DialOptions): Promise<Dialled> {
    const quic = await this.connect(address);
    const { identity, certificate, certificateRequest } = this;
    const [peerCertificate = new Uint8Array(0)] = quic.connection.peerCertificates;
    const initiator = new PairingInitiator({
      ...{ secret, identity, certificate, peerCertificate, certificateRequest, clock, random },
      ...{ name: "newcomer", kind: "test", platform: "test" },
      ...asInitiator,
    });
    return new Dialled(quic, initiator);
  }
}

export class Dialled implements AsyncDisposable {
  /** Resolves when the gatehouse has said that it asks somebody. */
  readonly pending: Promise<number>;
  /** What becomes of it; handled, so that a test may look late. */
  readonly joined: Promise<JoinedPairing>;
  readonly #quic: QuicClientConnection;

  constructor(quic: QuicClientConnection, initiator: PairingInitiator) {
    this.#quic = quic;
    let onPending: (timeoutMs: number) => void = () => undefined;
    this.pending = new Promise((resolve) => {
      onPending = resolve;
    });
    const { signal } = new AbortController();
    this.joined = joinPairing(quic.connection.openStream(), initiator, { signal, clock, onPending });
    this.joined.catch(() => undefined);
  }

  /** Ends the connection, whatever was under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#quic[Symbol.asyncDispose]();
  }
}
