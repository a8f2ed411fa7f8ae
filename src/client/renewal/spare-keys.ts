import { certificateFacts } from "../../certs/index.ts";
import type { HomeLayout } from "../../files/index.ts";
import type { DeviceIdentity } from "../../identity/index.ts";
import { ownerCertificate } from "../local-gatehouse.ts";
import type { Remote } from "../remotes.ts";

/**
 * Drops the TLS keys that nothing in this home is for: no certificate at any of its gatehouses, its own included, and no
 * renewal that is under way. The newest stays in any case.
 * @throws file.io, file.damaged, certificate.malformed; then keys are left over, which harms nobody
 */
export async function dropSpareKeys(
  layout: HomeLayout,
  identity: DeviceIdentity,
  remotes: readonly Remote[],
): Promise<void> {
  if (identity.tlsKeys.length === 1) return;
  const own = await ownerCertificate(layout);
  const certificates = [
    ...remotes.map(({ certificate }) => certificate),
    ...(own === undefined ? [] : [own]),
  ];
  const needed = [
    ...certificates.map((certificate) => certificateFacts(certificate).spkiSha256),
    ...remotes.flatMap(({ renewal }) => (renewal === undefined ? [] : [renewal.spkiSha256])),
  ];
  await identity.dropTlsKeysBut(layout.identityDir, needed);
}
