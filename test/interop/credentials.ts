/** What a paired device is known by, in the form that any TLS stack reads. */
import { certificatePem, gatehouseHost } from "../../src/certs/index.ts";
import { Remotes } from "../../src/client/index.ts";
import { homeLayout } from "../../src/files/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import type { PairedDevice } from "../support/paired-device.ts";

export interface Credentials {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly caPem: string;
  /** DNS name in the door's certificate. */
  readonly serverName: string;
}

/** Exports the key and certificate of a device that has joined, and the authority it pinned. */
export async function credentialsOf({ install, on }: PairedDevice): Promise<Credentials> {
  const identity = await DeviceIdentity.open(homeLayout(install.home).identityDir);
  const remote = await Remotes.of(install.home).resolve(on);
  return {
    certificatePem: certificatePem(remote.certificate),
    keyPem: identity.tls.privateKeyPem,
    caPem: remote.caCertificates.map(certificatePem).join(""),
    serverName: gatehouseHost(remote.gatehouseId),
  };
}
