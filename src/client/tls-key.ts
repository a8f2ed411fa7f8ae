import { certificateFacts } from "../certs/index.ts";
import { GatehouseError } from "../core/index.ts";
import type { DeviceIdentity, TlsIdentity } from "../identity/index.ts";

/** The key of the identity that a certificate of its is for. @throws identity.damaged when the identity has it no more */
export function tlsKeyFor(identity: DeviceIdentity, certificate: Uint8Array): TlsIdentity {
  const key = identity.tlsFor(certificateFacts(certificate).spkiSha256);
  if (key !== undefined) return key;
  throw new GatehouseError("identity.damaged", "the key of this device's certificate is not there any more", {
    hint: "restore identity/ from a backup, or pair this device anew",
  });
}
