import { certificateFacts } from "../certs/index.ts";
import { GatehouseError } from "../core/index.ts";
import type { DeviceIdentity, TlsIdentity } from "../identity/index.ts";

/**
 * The key of the identity that a certificate of its is for. Another process may have made it since the identity was opened:
 * then `reopen` shows it.
 * @throws identity.damaged when the identity has it no more
 */
export async function tlsKeyFor(
  identity: DeviceIdentity,
  certificate: Uint8Array,
  reopen: () => Promise<DeviceIdentity>,
): Promise<TlsIdentity> {
  const { spkiSha256 } = certificateFacts(certificate);
  const key = identity.tlsFor(spkiSha256) ?? (await reopen()).tlsFor(spkiSha256);
  if (key !== undefined) return key;
  throw new GatehouseError("identity.damaged", "the key of this device's certificate is not there any more", {
    hint: "restore identity/ from a backup, or pair this device anew",
  });
}
