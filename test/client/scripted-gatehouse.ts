import { certificatePem, createCaCertificate, issueLeaf, parseTlsRequest } from "../../src/certs/index.ts";
import { silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { generateTlsKey } from "../../src/crypto/index.ts";
import { DeviceIdentity, deviceIdOf } from "../../src/identity/index.ts";
import {
  type Enroll,
  formatPairingUri,
  PAIRING_ALPN,
  PairingLimiter,
  PairingResponder,
  type PairingStream,
  type PairingVerdict,
  PairingWindow,
  servePairing,
} from "../../src/pairing/index.ts";
import { formatAddress, type QuicConnection, QuicServer, type QuicStream } from "../../src/quic/index.ts";

const [clock, random, logger] = [systemClock, systemRandom, silentLogger];

export interface Script {
  /** Closes the connection in place of sending this message of its own, counted from 1 … */
  readonly cutBefore?: number;
  /** … on so many connections. */
  readonly cuts?: number;
  /** Somebody is asked about whoever comes, and says this. */
  readonly verdict?: PairingVerdict;
  /** Id of the device that has every name. */
  readonly holder?: string;
  /** The first connection breaks as soon as somebody is asked; the answer comes while nobody is there. */
  readonly cutsWhenAsked?: boolean;
  /** Takes streams and never answers. */
  readonly isSilent?: boolean;
}

/** A real pairing window behind a real QUIC door that breaks off where it is told to. */
export class ScriptedGatehouse implements AsyncDisposable {
  connections = 0;
  enrolled = 0;
  /** Id of the device whose place the newest took. */
  replaced: string | undefined;
  readonly id;
  readonly code: string;
  readonly firstStream: Promise<void>;
  readonly #identity: DeviceIdentity;
  readonly #certificate: Uint8Array;
  readonly #enroll: Enroll;
  readonly #script: Script;
  readonly #server: QuicServer;
  readonly #window: PairingWindow;
  #latest: QuicConnection | undefined;
  #heardStream: () => void = () => undefined;

  private constructor(parts: {
    identity: DeviceIdentity;
    certificate: Uint8Array;
    enroll: Enroll;
    script: Script;
    server: (accept: (connection: QuicConnection) => void) => QuicServer;
    limiter: PairingLimiter;
  }) {
    this.#identity = parts.identity;
    this.#certificate = parts.certificate;
    this.#enroll = parts.enroll;
    this.#script = parts.script;
    this.firstStream = new Promise((resolve) => {
      this.#heardStream = resolve;
    });
    this.#server = parts.server((connection) => this.#accept(connection));
    const tls = this.#server.openPairing(PAIRING_ALPN);
    this.#window = PairingWindow.open({
      ...{ clock, random, limiter: parts.limiter, role: "member" },
      requireApproval: parts.script.verdict !== undefined,
      findByName: () => parts.script.holder,
      onEvent: (event) => {
        if (event.kind === "retired") tls[Symbol.dispose]();
        if (event.kind === "asked") this.#asked(event.joiner.deviceId);
      },
    });
    this.id = parts.identity.id;
    this.code = this.#window.code ?? "";
  }

  static async open(script: Script = {}): Promise<ScriptedGatehouse> {
    const identity = DeviceIdentity.generate(random);
    const gatehouseId = identity.id;
    const caKey = generateTlsKey(random);
    const now = clock.now();
    const caCertificate = await createCaCertificate({ key: caKey, gatehouseId, generation: 1, now, random });
    const authority = { gatehouseId, caCertificate, caKey, now, random };
    const spki = identity.tls.spki;
    const leaf = await issueLeaf({ ...authority, usage: "server", deviceId: gatehouseId, spki });
    let accept: (connection: QuicConnection) => void = () => undefined;
    const listening = await QuicServer.listen({
      ...{ clock, random, logger, alpn: "gatehouse/1", caPem: certificatePem(caCertificate) },
      listen: [{ host: "127.0.0.1", port: 0 }],
      identity: { keyPem: identity.tls.privateKeyPem, certificatePem: certificatePem(leaf.der) },
      admit: () => ({ kind: "admitted", accept: (connection) => accept(connection) }),
    });
    const enroll: Enroll = async ({ certificateRequest, identityKey, name, role, replaces }) => {
      const request = await parseTlsRequest(certificateRequest);
      const deviceId = deviceIdOf(identityKey);
      const device = await issueLeaf({ ...authority, usage: "device", deviceId, spki: request.spki });
      gatehouse.enrolled += 1;
      gatehouse.replaced = replaces;
      return { deviceId, name, role, certificate: device.der, caCertificates: [caCertificate] };
    };
    const store = { load: () => Promise.resolve([]), recordBurnt: () => Promise.resolve() };
    const gatehouse = new ScriptedGatehouse({
      ...{ identity, certificate: leaf.der, enroll, script },
      limiter: await PairingLimiter.open(store, clock),
      server: (taker) => {
        accept = taker;
        return listening;
      },
    });
    return gatehouse;
  }

  get address(): string {
    return formatAddress(this.#server.address);
  }

  get uri(): string {
    const { address, id: gatehouseId } = this;
    return formatPairingUri({ address, gatehouseId, secret: this.#window.uriSecret });
  }

  get wrongCode(): string {
    return this.code === "000000" ? "000001" : "000000";
  }

  get isAccepting(): boolean {
    return this.#window.isAccepting;
  }

  closeWindow(): void {
    this.#window.close();
  }

  /** Somebody else has said hello, and goes away after a while. */
  occupy(forMs: number): void {
    const attempt = this.#window.begin("code", {
      identityKey: new Uint8Array(32),
      tlsKeyHash: new Uint8Array(32),
    });
    clock.setTimer(forMs, () => attempt.end());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#window[Symbol.dispose]();
    await this.#server[Symbol.asyncDispose]();
  }

  #asked(deviceId: string): void {
    const { verdict = "deny", cutsWhenAsked = false } = this.#script;
    setImmediate(() => {
      if (cutsWhenAsked) this.#latest?.close("internal");
      setImmediate(() => this.#window.decide(deviceId, verdict));
    });
  }

  #accept(connection: QuicConnection): void {
    this.connections += 1;
    this.#latest = connection;
    const isCut = this.connections <= (this.#script.cuts ?? 0);
    connection.onStream((stream) => {
      this.#heardStream();
      if (this.#script.isSilent !== true) void this.#serve(connection, stream, isCut);
    });
  }

  async #serve(connection: QuicConnection, stream: QuicStream, isCut: boolean): Promise<void> {
    const [peerCertificate = new Uint8Array(0)] = connection.peerCertificates;
    const responder = new PairingResponder({
      ...{ window: this.#window, identity: this.#identity, gatehouseName: "home", random, logger },
      ...{ certificate: this.#certificate, peerCertificate, enroll: this.#enroll },
      binding: { kind: "none" },
    });
    await servePairing(isCut ? this.#breaking(connection, stream) : stream, responder, clock);
  }

  #breaking(connection: QuicConnection, stream: QuicStream): PairingStream {
    let written = 0;
    return {
      attach: (sink) => stream.attach(sink),
      pause: () => stream.pause(),
      resume: () => stream.resume(),
      write: (bytes, fin) => {
        written += 1;
        if (written === this.#script.cutBefore) connection.close("internal");
        return stream.write(bytes, fin);
      },
    };
  }
}
