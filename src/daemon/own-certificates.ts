import type { AuditLog } from "../audit/index.ts";
import type { DeviceCa } from "../ca/index.ts";
import { certificatePem, inspectLeaf, type LeafFacts } from "../certs/index.ts";
import { type Clock, equalBytes, type Logger, type UnixMs } from "../core/index.ts";
import { sha256 } from "../crypto/index.ts";
import type { HomeLayout } from "../files/index.ts";
import type { DeviceIdentity, TlsIdentity } from "../identity/index.ts";
import type { ServerTls } from "../quic/index.ts";
import type { Devices } from "../vault/index.ts";
import { readOwnerCertificate, writeOwnerCertificate } from "./owner-files.ts";

export interface OwnCertificatesParts {
  readonly layout: HomeLayout;
  readonly gatehouseName: string;
  readonly identity: DeviceIdentity;
  readonly ca: DeviceCa;
  readonly devices: Devices;
  readonly audit: Pick<AuditLog, "encodeEvent">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What the gatehouse shows its devices. */
export interface ServerLeaf {
  readonly der: Uint8Array;
  /** Lower-case hex. */
  readonly serial: string;
  readonly issuedAt: UnixMs;
  readonly expiresAt: UnixMs;
  readonly generation: number;
  readonly spkiSha256: Uint8Array;
  readonly tls: TlsIdentity;
}

/**
 * The gatehouse's own two certificates: the one it shows, and the one by which its home's command line calls it. Both are
 * replaced at half of their life, and the first when another authority takes over; nothing has to be restarted.
 */
export class OwnCertificates {
  readonly #parts: OwnCertificatesParts;
  #server: ServerLeaf;
  /** As the door was told last. */
  #trusted: string;
  #onChange: () => void = () => undefined;

  private constructor(parts: OwnCertificatesParts, server: ServerLeaf) {
    this.#parts = parts;
    this.#server = server;
    this.#trusted = parts.ca.certificatesPem;
  }

  static async open(parts: OwnCertificatesParts): Promise<OwnCertificates> {
    return new OwnCertificates(parts, await issueServer(parts, parts.identity.tls));
  }

  get server(): ServerLeaf {
    return this.#server;
  }

  /** For the door: what to show, and whom to trust. */
  get serverTls(): ServerTls {
    const { der, tls } = this.#server;
    return {
      identity: { keyPem: tls.privateKeyPem, certificatePem: certificatePem(der) },
      caPem: this.#parts.ca.certificatesPem,
    };
  }

  /** `listener` hears of each change of `serverTls`. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  /** Replaces the certificate that is shown; with `newKey` its key, too. @throws file.io */
  async renewServer({ newKey }: { readonly newKey: boolean }): Promise<void> {
    const { identity, layout } = this.#parts;
    const tls = newKey ? await identity.addTlsKey(layout.identityDir) : this.#server.tls;
    this.#server = await issueServer(this.#parts, tls);
    this.#tell();
  }

  /** Sees to it that the home's own command line can call: writes its certificate where it has none that is good for long. */
  async renewOwner(): Promise<void> {
    const { layout, gatehouseName, identity, ca, devices, audit, clock } = this.#parts;
    const row = devices.get(identity.id);
    if (row === undefined || row.state === "revoked") return;
    const caCertificates = ca.certificatesDer;
    if (await this.#hasGoodOwner(row.certificates)) return;
    const { spki } = identity.tls;
    const { der, ...certificate } = await ca.issueDevice({ deviceId: identity.id, spki });
    const spkiSha256 = sha256(spki);
    const event = {
      action: "device:renew-self",
      resource: `device:${identity.id}`,
      outcome: "done",
    } as const;
    const mutation = { audit: () => audit.encodeEvent({ ...event, detail: { serial: certificate.serial } }) };
    const renewed = { spkiSha256, certificate, at: clock.now() };
    await devices.renewed(identity.id, renewed, mutation, (device) => device);
    await writeOwnerCertificate(layout, { gatehouseName, certificate: der, caCertificates });
    await devices.used(identity.id, spkiSha256, mutation);
  }

  /** Does what is due. To be called often: machines sleep, and clocks are set. */
  async look(): Promise<void> {
    const { ca, clock, logger } = this.#parts;
    const { issuedAt, expiresAt, generation, tls } = this.#server;
    const serving = ca.generations.find(({ state }) => state === "serving");
    if (isDue(issuedAt, expiresAt, clock.now()) || serving?.number !== generation) {
      this.#server = await issueServer(this.#parts, tls);
      logger.info("certificate-renewed", { expiresAt: this.#server.expiresAt });
      this.#tell();
    } else if (this.#trusted !== ca.certificatesPem) this.#tell();
    await this.renewOwner();
  }

  #tell(): void {
    this.#trusted = this.#parts.ca.certificatesPem;
    this.#onChange();
  }

  async #hasGoodOwner(known: readonly { readonly serial: string }[]): Promise<boolean> {
    const { layout, identity, ca, clock } = this.#parts;
    const owner = await readOwnerCertificate(layout);
    const newest = ca.certificatesDer;
    const isWhole =
      owner?.caCertificates.length === newest.length &&
      newest.every((der, index) => equalBytes(der, owner.caCertificates[index] ?? new Uint8Array(0)));
    if (owner === undefined || !isWhole) return false;
    let facts: LeafFacts;
    try {
      const authorities = { caCertificates: newest, gatehouseId: identity.id };
      facts = inspectLeaf([owner.certificate], { ...authorities, usage: "device", now: clock.now() });
    } catch {
      return false;
    }
    const isOurs = equalBytes(facts.spkiSha256, sha256(identity.tls.spki));
    const isKnown = known.some(({ serial }) => serial === facts.serial);
    return isOurs && isKnown && !isDue(facts.notBefore, facts.expiresAt, clock.now());
  }
}

async function issueServer({ ca, clock }: OwnCertificatesParts, tls: TlsIdentity): Promise<ServerLeaf> {
  const leaf = await ca.issueServer(tls.spki);
  return { ...leaf, issuedAt: clock.now(), spkiSha256: sha256(tls.spki), tls };
}

/** At half of its life. */
function isDue(from: number, to: number, now: number): boolean {
  return now >= from + (to - from) / 2;
}
