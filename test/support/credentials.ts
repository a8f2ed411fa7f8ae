/** What a paired device is known by, in the form that any TLS stack reads. */
import { certificatePem, gatehouseHost } from "../../src/certs/index.ts";
import { Remotes } from "../../src/client/index.ts";
import { homeLayout } from "../../src/files/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import type { PairedDevice } from "./paired-device.ts";

export interface Credentials {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly caPem: string;
  /** DNS name in the door's certificate. */
  readonly serverName: string;
}

/** Exports the key and certificate of a device that has joined, and the authority it pinned. */
export function credentialsOf({ install, on }: PairedDevice): Promise<Credentials> {
  return credentialsIn(install.home, on);
}

/** Of the install at `home`; `on` may be left out when it is paired with one gatehouse only. */
export async function credentialsIn(home: string, on?: string): Promise<Credentials> {
  const identity = await DeviceIdentity.open(homeLayout(home).identityDir);
  const remote = await Remotes.of(home).resolve(on);
  return {
    certificatePem: certificatePem(remote.certificate),
    keyPem: identity.tls.privateKeyPem,
    caPem: remote.caCertificates.map(certificatePem).join(""),
    serverName: gatehouseHost(remote.gatehouseId),
  };
}
