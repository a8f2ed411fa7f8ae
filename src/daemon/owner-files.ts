import { join } from "node:path";
import { type HomeLayout, removeFile, writeAtomic } from "../files/index.ts";

/** The client certificate of the home's own command line, renewed at each start of the daemon. */
export interface OwnerCertificate {
  readonly gatehouseName: string;
  readonly certificate: Uint8Array;
  readonly caCertificates: readonly Uint8Array[];
}

/** Lets the command line of this home come in by the same door as anybody. */
export async function writeOwnerCertificate(layout: HomeLayout, owner: OwnerCertificate): Promise<void> {
  const document = {
    gatehouseName: owner.gatehouseName,
    certificate: base64(owner.certificate),
    caCertificates: owner.caCertificates.map(base64),
  };
  await writeAtomic(join(layout.identityDir, "owner.json"), Buffer.from(JSON.stringify(document)));
}

/** Tells the home's own command line where the daemon listens, until disposed. */
export async function publishEndpoint(
  layout: HomeLayout,
  quic: string,
  pid: number,
): Promise<AsyncDisposable> {
  await writeAtomic(layout.endpointFile, Buffer.from(JSON.stringify({ quic, pid })));
  return { [Symbol.asyncDispose]: () => removeFile(layout.endpointFile) };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
