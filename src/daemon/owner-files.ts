import { join } from "node:path";
import { isGatehouseError } from "../core/index.ts";
import { type HomeLayout, readSmallFile, removeFile, writeAtomic } from "../files/index.ts";
import type { DoorAddresses } from "./doors.ts";

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
  await writeAtomic(ownerFile(layout), Buffer.from(JSON.stringify(document)));
}

/** What was written last; undefined when there is nothing that reads: it is written anew then. */
export async function readOwnerCertificate(
  layout: HomeLayout,
): Promise<Pick<OwnerCertificate, "certificate" | "caCertificates"> | undefined> {
  try {
    const document: unknown = JSON.parse(Buffer.from(await readSmallFile(ownerFile(layout))).toString());
    const { certificate, caCertificates } = document as Readonly<Record<string, unknown>>;
    if (typeof certificate !== "string" || !Array.isArray(caCertificates)) return undefined;
    return {
      certificate: bytes(certificate),
      caCertificates: caCertificates.map((text) => bytes(String(text))),
    };
  } catch (failure) {
    if (failure instanceof SyntaxError || isGatehouseError(failure, "file.not-found")) return undefined;
    throw failure;
  }
}

function ownerFile({ identityDir }: HomeLayout): string {
  return join(identityDir, "owner.json");
}

/** Tells the home's own command line where the daemon listens, until disposed. */
export async function publishEndpoint(
  layout: HomeLayout,
  { quic, grpc }: DoorAddresses,
  pid: number,
): Promise<AsyncDisposable> {
  await writeAtomic(layout.endpointFile, Buffer.from(JSON.stringify({ quic, grpc, pid })));
  return { [Symbol.asyncDispose]: () => removeFile(layout.endpointFile) };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}
