/** A gatehouse that does nothing but certify devices anew, behind a real QUIC door, and does that as badly as it is told to. */
import type { KeyObject } from "node:crypto";
import {
  certificatePem,
  createCaCertificate,
  inspectLeaf,
  issueLeaf,
  parseTlsRequest,
} from "../../src/certs/index.ts";
import { Remotes } from "../../src/client/index.ts";
import {
  ByteWriter,
  GatehouseError,
  hex,
  isGatehouseError,
  silentLogger,
  systemClock,
  systemRandom,
  unixMs,
} from "../../src/core/index.ts";
import { generateTlsKey, LABELS, sha256 } from "../../src/crypto/index.ts";
import { homeLayout } from "../../src/files/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { type DeviceId, DeviceIdentity } from "../../src/identity/index.ts";
import {
  type Admission,
  formatAddress,
  isCloseCause,
  type QuicConnection,
  QuicServer,
  type ServerHandshake,
  type TlsContext,
} from "../../src/quic/index.ts";
import { Router } from "../../src/rpc/index.ts";

const [clock, random, logger] = [systemClock, systemRandom, silentLogger];
export const DAY_MS = 86_400_000;

export interface Answer {
  readonly certificate: Uint8Array;
  readonly caCertificates: readonly Uint8Array[];
  readonly signature: Uint8Array;
  readonly now: number;
}

/** What an answer is for. */
export interface Question {
  readonly nonce: Uint8Array;
  /** Of the key that the server showed. */
  readonly serverSpkiSha256: Uint8Array;
}

interface Caller {
  readonly connection: QuicConnection;
  readonly deviceId: DeviceId;
}

interface Parts {
  readonly identity: DeviceIdentity;
  readonly caKey: KeyObject;
  readonly caCertificate: Uint8Array;
}

export class RenewingGatehouse implements AsyncDisposable {
  readonly id: DeviceId;
  readonly identity: DeviceIdentity;
  readonly caCertificate: Uint8Array;
  /** Request ids of renewals that came, hex, in order. */
  readonly asked: string[] = [];
  /** Serial numbers of device certificates that were shown by who was let in, in order. */
  readonly shown: string[] = [];
  /** TLS contexts by which they came. */
  readonly contexts: TlsContext[] = [];
  issued = 0;
  pings = 0;
  isReadmitting = false;
  /** Whoever shows whatever. */
  isOpenToAll = false;
  /** Ends the connection `before` the renewal is carried out, or `after`, so many times. */
  cuts: { where: "before" | "after"; times: number } = { where: "before", times: 0 };
  /** What becomes of an answer on its way. */
  tamper: (answer: Answer, question: Question) => Answer = (answer) => answer;
  /** What its clock is ahead of everybody's. */
  clockAheadMs = 0;
  readonly #parts: Parts;
  readonly #answers = new Map<string, Answer>();
  readonly #router: Router<Caller>;
  #serverSpkiSha256: Uint8Array = new Uint8Array(0);
  #server: QuicServer | undefined;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.identity = parts.identity;
    this.id = parts.identity.id;
    this.caCertificate = parts.caCertificate;
    this.#router = this.#routes();
  }

  /** `as`: of the same identity and authority, with a TLS key of its own. */
  static async open(as?: RenewingGatehouse): Promise<RenewingGatehouse> {
    const parts = as === undefined ? await authorityOf(DeviceIdentity.generate(random)) : as.#parts;
    const gatehouse = new RenewingGatehouse(parts);
    await gatehouse.#listen();
    return gatehouse;
  }

  get address(): string {
    if (this.#server === undefined) throw new Error("it does not listen");
    return formatAddress(this.#server.address);
  }

  /** A home that has been paired here, its certificate so many days old. */
  async pair(home: string, ageDays: number): Promise<DeviceIdentity> {
    const identity = await DeviceIdentity.openOrCreate(homeLayout(home).identityDir, { random });
    const pairedAt = unixMs(clock.now() - ageDays * DAY_MS);
    const { der, expiresAt } = await this.issue(identity.id, identity.tls.spki, pairedAt);
    await Remotes.of(home).add({
      ...{ name: "hall", gatehouseId: this.id, identityKey: this.identity.publicKey, address: this.address },
      ...{ caCertificates: [this.caCertificate], certificate: der, certificateExpiresAt: expiresAt },
      ...{ deviceName: "phone", role: "member", pairedAt },
    });
    return identity;
  }

  async issue(deviceId: DeviceId, spki: Uint8Array, now = clock.now()) {
    const { caKey, caCertificate } = this.#parts;
    return await issueLeaf({
      ...{ usage: "device", gatehouseId: this.id, deviceId, spki, caCertificate, caKey, now, random },
    });
  }

  /** Signs whatever it is given, as it signs an answer. */
  sign(
    { nonce, serverSpkiSha256 }: Question,
    { certificate, caCertificates }: Pick<Answer, "certificate" | "caCertificates">,
  ): Uint8Array {
    const signed = new ByteWriter().prefixed(nonce).prefixed(serverSpkiSha256).prefixed(certificate);
    for (const authority of caCertificates) signed.prefixed(authority);
    return this.identity.sign(LABELS.renewal, signed.finish());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    await this.#router[Symbol.asyncDispose]();
  }

  async #listen(): Promise<void> {
    const key = DeviceIdentity.generate(random).tls;
    const { caKey, caCertificate } = this.#parts;
    // Old enough for a device whose clock is behind.
    const now = unixMs(clock.now() - 10 * DAY_MS);
    const leaf = await issueLeaf({
      ...{ usage: "server", gatehouseId: this.id, deviceId: this.id, spki: key.spki },
      ...{ caCertificate, caKey, now, random },
    });
    this.#serverSpkiSha256 = sha256(key.spki);
    this.#server = await QuicServer.listen({
      ...{ clock, random, logger, alpn: "gatehouse/1", caPem: certificatePem(caCertificate) },
      listen: [{ host: "127.0.0.1", port: 0 }],
      identity: { keyPem: key.privateKeyPem, certificatePem: certificatePem(leaf.der) },
      isReadmitting: () => this.isReadmitting,
      admit: (handshake) => this.#admit(handshake),
    });
  }

  #admit({ certificates, context }: ServerHandshake): Admission {
    if (this.isOpenToAll) return this.#letIn(context, { deviceId: this.id, serial: "" });
    try {
      const leaf = inspectLeaf(certificates, {
        ...{ caCertificates: [this.caCertificate], gatehouseId: this.id, usage: "device", now: clock.now() },
        dates: this.isReadmitting ? "ignored" : "enforced",
      });
      return this.#letIn(context, leaf);
    } catch (failure) {
      if (!isGatehouseError(failure)) throw failure;
      const cause = isCloseCause(failure.code) ? failure.code : "not-admitted";
      return { kind: "refused", cause, error: failure };
    }
  }

  #letIn(
    context: TlsContext,
    { deviceId, serial }: { readonly deviceId: DeviceId; readonly serial: string },
  ): Admission {
    return {
      kind: "admitted",
      accept: (connection) => {
        this.contexts.push(context);
        this.shown.push(serial);
        connection.onStream((stream) => this.#router.serve(stream, { connection, deviceId }));
      },
    };
  }

  #routes(): Router<Caller> {
    const router = new Router<Caller>({ clock, log: logger });
    router.handle(METHODS.Health.Ping, ({ payload }) => {
      this.pings += 1;
      return { payload };
    });
    router.handle(METHODS.Health.Status, () => ({ name: "hall", now: this.#now() }));
    router.handle(METHODS.Device.Renew, async (request, { requestId = new Uint8Array(0), peer }) => {
      const key = hex(requestId);
      this.asked.push(key);
      this.#cut("before", peer);
      const answer = this.#answers.get(key) ?? (await this.#renew(request, peer));
      this.#answers.set(key, answer);
      this.#cut("after", peer);
      const question = { nonce: request.nonce, serverSpkiSha256: this.#serverSpkiSha256 };
      const { caCertificates, ...rest } = this.tamper(answer, question);
      return { ...rest, caCertificates: [...caCertificates] };
    });
    return router;
  }

  #cut(where: "before" | "after", { connection }: Caller): void {
    if (this.cuts.where !== where || this.cuts.times === 0) return;
    this.cuts.times -= 1;
    connection.close("internal");
    throw new GatehouseError("rpc.internal", "the link broke");
  }

  async #renew(
    { certificateRequest, nonce }: { readonly certificateRequest: Uint8Array; readonly nonce: Uint8Array },
    { deviceId }: Caller,
  ): Promise<Answer> {
    const { spki } = await parseTlsRequest(certificateRequest);
    const { der: certificate } = await this.issue(deviceId, spki);
    this.issued += 1;
    const caCertificates = [this.caCertificate];
    const question = { nonce, serverSpkiSha256: this.#serverSpkiSha256 };
    const signature = this.sign(question, { certificate, caCertificates });
    return { certificate, caCertificates, signature, now: this.#now() };
  }

  #now(): number {
    return clock.now() + this.clockAheadMs;
  }
}

async function authorityOf(identity: DeviceIdentity): Promise<Parts> {
  const caKey = generateTlsKey(random);
  const now = unixMs(clock.now() - 100 * DAY_MS);
  const caCertificate = await createCaCertificate({
    ...{ key: caKey, gatehouseId: identity.id, generation: 1, now, random },
  });
  return { identity, caKey, caCertificate };
}
