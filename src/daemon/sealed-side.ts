import { certificateFacts, certificatePem, inspectLeaf, spkiOf } from "../certs/index.ts";
import { equalBytes, GatehouseError, isGatehouseError } from "../core/index.ts";
import type { DeviceIdentity } from "../identity/index.ts";
import { PAIRING_ALPN } from "../pairing/index.ts";
import { type Admission, isCloseCause, type ServerHandshake, type ServerTls } from "../quic/index.ts";
import type { Router } from "../rpc/index.ts";
import { createSealedRouter, type Peer, type SealedParts } from "../services/index.ts";
import type { BootRecord } from "./boot-record.ts";
import type { DeviceAdmission, DeviceHandshake, DoorConnection, Wire } from "./door-connection.ts";
import type { DoorRecord } from "./door-record.ts";
import { Peers } from "./peers.ts";
import type { Side } from "./side.ts";
import type { Effects } from "./storage.ts";
import type { Spotlight } from "./watchdog-memory.ts";

export interface SealedSideParts extends Effects {
  readonly identity: DeviceIdentity;
  readonly boot: BootRecord;
  readonly record: DoorRecord;
  readonly spotlight: () => Spotlight<DoorConnection> | undefined;
  readonly facts: Pick<SealedParts["facts"], "version" | "quic" | "grpc" | "reason" | "keyKinds">;
  readonly unseal: SealedParts["unseal"];
}

/** The door while the vault is sealed: for the owner that the boot record pins, by the keys that were on record last. */
export class SealedSide implements Side, AsyncDisposable {
  readonly serverTls: ServerTls;
  readonly isReadmitting = false;
  readonly #parts: SealedSideParts;
  readonly #router: Router<Peer>;
  readonly #peers = new Peers();
  readonly #serverSpki: Uint8Array;

  /** @throws boot.damaged when the identity lacks the certificate's key; vault.key-missing when that has run out */
  constructor(parts: SealedSideParts) {
    const { identity, boot, record, clock, logger, facts, unseal } = parts;
    const { expiresAt, spkiSha256 } = certificateFacts(record.serverCertificate);
    if (expiresAt <= clock.now()) throw expired();
    this.#parts = parts;
    this.#serverSpki = spkiSha256;
    this.serverTls = serverTlsOf(identity, record);
    const { id: deviceId, fingerprint } = identity;
    const own = { name: boot.name, deviceId, fingerprint, certificateExpiresAt: () => expiresAt };
    this.#router = createSealedRouter({ clock, logger, unseal, facts: { ...own, ...facts } });
  }

  admit(handshake: ServerHandshake): Admission {
    if (handshake.alpn !== PAIRING_ALPN) return this.admitDevice({ ...handshake, wire: "quic" });
    return this.admitTcpPairing();
  }

  admitTcpPairing(): ReturnType<typeof refused> {
    return refused(new GatehouseError("pairing.closed", "the vault is sealed"));
  }

  admitDevice({ certificates, remote, wire }: DeviceHandshake): DeviceAdmission {
    try {
      return { kind: "admitted", accept: this.#welcome(certificates, wire) };
    } catch (failure) {
      const error = isGatehouseError(failure)
        ? failure
        : new GatehouseError("quic.not-admitted", "the certificate could not be checked", { cause: failure });
      this.#parts.logger.info("device-refused", { code: error.code, from: remote.host, wire });
      return refused(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#router[Symbol.asyncDispose]();
    this.#peers.expelAll("going-away", "the gatehouse is open");
  }

  /** @throws certificate.*, vault.sealed, quic.limit */
  #welcome(chain: readonly Uint8Array[], wire: Wire): (connection: DoorConnection) => void {
    const { identity, boot, record, clock, spotlight } = this.#parts;
    const { caCertificates, ownerKeys } = record;
    const authorities = { caCertificates, gatehouseId: identity.id };
    const leaf = inspectLeaf(chain, { ...authorities, usage: "device", now: clock.now() });
    const { deviceId } = leaf;
    const isOwner = deviceId === boot.ownerId && ownerKeys.some((key) => equalBytes(key, leaf.spkiSha256));
    if (!isOwner) throw new GatehouseError("vault.sealed", "the vault is sealed");
    this.#peers.check(deviceId);
    return (connection) => {
      this.#peers.add(deviceId, leaf.spkiSha256, connection);
      spotlight()?.name(connection, deviceId);
      const peer: Peer = {
        ...{ deviceId, access: "full", wire, serverSpkiSha256: this.#serverSpki },
        facts: () => ({ name: boot.name, roles: ["owner"] }),
        remoteAddress: () => connection.remote.host,
      };
      connection.onStream((stream) => this.#router.serve(stream, peer));
    };
  }
}

function serverTlsOf(identity: DeviceIdentity, { serverCertificate, caCertificates }: DoorRecord): ServerTls {
  const tls = identity.tlsFor(spkiOf(serverCertificate));
  if (tls === undefined) {
    throw new GatehouseError("boot.damaged", "the identity lacks the key of the certificate to be shown");
  }
  return {
    identity: { keyPem: tls.privateKeyPem, certificatePem: certificatePem(serverCertificate) },
    caPem: caCertificates.map(certificatePem).join(""),
  };
}

function refused(error: GatehouseError): Extract<Admission, { readonly kind: "refused" }> {
  const { code } = error;
  if (code === "quic.limit") return { kind: "refused", cause: "limit", error };
  return { kind: "refused", cause: isCloseCause(code) ? code : "not-admitted", error };
}

function expired(): GatehouseError<"vault.key-missing"> {
  return new GatehouseError(
    "vault.key-missing",
    "the certificate that the sealed door would show has run out",
    {
      hint: "start the gatehouse where its key can be had: it makes a new one then",
    },
  );
}
