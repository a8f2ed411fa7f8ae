/** The gatehouse that lives in this very home: its command line is the owner, and comes in by the same door as anybody. */
import { join } from "node:path";
import { GatehouseError, isGatehouseError, unixMs } from "../core/index.ts";
import { type HomeLayout, readSmallFile } from "../files/index.ts";
import type { DeviceIdentity } from "../identity/index.ts";
import type { Remote } from "./remotes.ts";

/** Undefined when no gatehouse was made in this home. @throws quic.unreachable when it is not running, file.damaged */
export async function localGatehouse(
  layout: HomeLayout,
  identity: DeviceIdentity,
): Promise<Remote | undefined> {
  const owner = await readJson(join(layout.identityDir, "owner.json"));
  if (owner === undefined) return undefined;
  const endpoint = await readJson(layout.endpointFile);
  if (endpoint === undefined) {
    throw new GatehouseError("quic.unreachable", "the gatehouse of this home is not running", {
      hint: "start it with: gatehouse serve",
    });
  }
  const { gatehouseName, certificate, caCertificates } = owner;
  const { quic, grpc } = endpoint;
  const address = quic ?? grpc;
  if (typeof gatehouseName !== "string" || typeof address !== "string") throw damaged();
  return {
    ...{ grpc: typeof grpc === "string" ? grpc : "off", quic: quic === undefined ? "off" : undefined },
    ...{ name: gatehouseName, gatehouseId: identity.id, identityKey: identity.publicKey, address },
    caCertificates: (Array.isArray(caCertificates) ? caCertificates : []).map(der),
    certificate: der(certificate),
    ...{ deviceName: gatehouseName, role: "owner", pairedAt: unixMs(0), certificateExpiresAt: unixMs(0) },
  };
}

/** The certificate of this home's own command line; undefined when no gatehouse was made here. @throws file.damaged */
export async function ownerCertificate(layout: HomeLayout): Promise<Uint8Array | undefined> {
  const owner = await readJson(join(layout.identityDir, "owner.json"));
  return owner && der(owner["certificate"]);
}

async function readJson(path: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readSmallFile(path);
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) return undefined;
    throw failure;
  }
  try {
    return objectOf(JSON.parse(Buffer.from(bytes).toString("utf8")));
  } catch (cause) {
    throw damaged(cause);
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) throw new RangeError("not an object");
  return value as Readonly<Record<string, unknown>>;
}

function der(text: unknown): Uint8Array {
  if (typeof text !== "string" || text === "") throw damaged();
  return new Uint8Array(Buffer.from(text, "base64"));
}

function damaged(cause?: unknown): GatehouseError<"file.damaged"> {
  return new GatehouseError("file.damaged", "what the daemon left for its own command line does not read", {
    hint: "start the daemon again: it writes these files anew",
    cause,
  });
}
