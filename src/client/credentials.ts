import { certificatePem, gatehouseHost } from "../certs/index.ts";
import { GatehouseError, isGatehouseError, type UnixMs } from "../core/index.ts";
import { homeLayout } from "../files/index.ts";
import type { DeviceId } from "../identity/index.ts";
import { openHomeIdentity } from "./home-identity.ts";
import { ownerCertificate } from "./local-gatehouse.ts";
import { type Remote, Remotes } from "./remotes.ts";
import { tlsKeyFor } from "./tls-key.ts";

/** What a program of any language needs to call a gatehouse as this device; `connect` takes it, too. */
export interface DeviceCredentials {
  readonly identity: {
    /** PKCS#8, P-256. Whoever has it is this device, for as long as its certificates are good. */
    readonly privateKeyPem: string;
    readonly certificatePem: string;
  };
  readonly gatehouse: {
    /** What the home calls it. */
    readonly name: string;
    readonly id: DeviceId;
    /** HOST:PORT, where the home dials it. */
    readonly address: string;
    /** HOST:PORT of its gRPC door on TCP, or `off`. */
    readonly grpc: string;
    /** DNS name that its certificate is for. */
    readonly serverName: string;
    /** The authorities that may certify it, one PEM after the other. */
    readonly caPem: string;
  };
  readonly certificateExpiresAt: UnixMs;
}

/**
 * This device's credentials at a gatehouse that `home` is paired with, by name or id; without one the default, or the only
 * one. The private key comes out of the identity's own file here, and is the caller's to keep.
 *
 * Not for the gatehouse that lives in `home` itself: its command line calls it with the key that it shows its devices, and a
 * copy of that could play the gatehouse to them.
 *
 * @throws remote.none, remote.not-found, remote.ambiguous, identity.damaged, home.bad-permissions, file.damaged
 */
export async function exportCredentials(home: string, on?: string): Promise<DeviceCredentials> {
  const layout = homeLayout(home);
  const identity = await openHomeIdentity(layout);
  const remote = await resolve(home, on);
  const { name, gatehouseId, address, certificate, caCertificates, certificateExpiresAt } = remote;
  const { privateKeyPem } = await tlsKeyFor(identity, certificate, () => openHomeIdentity(layout));
  return {
    identity: { privateKeyPem, certificatePem: certificatePem(certificate) },
    gatehouse: {
      ...{ name, id: gatehouseId, address, grpc: remote.grpc ?? address },
      ...{ serverName: gatehouseHost(gatehouseId), caPem: caCertificates.map(certificatePem).join("") },
    },
    certificateExpiresAt,
  };
}

async function resolve(home: string, on: string | undefined): Promise<Remote> {
  try {
    return await Remotes.of(home).resolve(on);
  } catch (failure) {
    const isNone = isGatehouseError(failure, "remote.none");
    if (!isNone || (await ownerCertificate(homeLayout(home))) === undefined) throw failure;
    throw new GatehouseError("remote.none", "this home's only key is the one its own gatehouse shows", {
      hint: "pair a home for the program: gatehouse pair open; then gatehouse pair join HOST:PORT --home DIR",
      cause: failure,
    });
  }
}
