/** The joiner and the gatehouse of every vector, out of fixed bytes by the code in src/. */
import {
  createCaCertificate,
  createTlsRequest,
  issueLeaf,
  type LeafUsage,
  selfSignedLeaf,
} from "../../src/certs/index.ts";
import { unixMs } from "../../src/core/index.ts";
import { generateTlsKey, LABELS } from "../../src/crypto/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { drawing, drawingFor, fixedBytes, signedAnew, signFixed } from "./fixed.ts";

export const NOW = unixMs(1_800_000_000_000);

/** One install, with what it was made of. */
export interface Install {
  readonly identity: DeviceIdentity;
  readonly identitySeed: Uint8Array;
  readonly tlsScalar: Uint8Array;
}

export interface VectorJoiner extends Install {
  /** As shown in TLS. */
  readonly certificate: Uint8Array;
  readonly certificateRequest: Uint8Array;
}

/** What it takes to issue certificates. */
export interface VectorAuthority extends Install {
  readonly caScalar: Uint8Array;
  readonly caCertificate: Uint8Array;
}

export interface VectorGatehouse extends VectorAuthority {
  readonly name: string;
  /** As shown in TLS. */
  readonly certificate: Uint8Array;
}

export function install(name: string): Install {
  const identitySeed = fixedBytes(`${name}/identity`, 32);
  const tlsScalar = fixedBytes(`${name}/tls`, 32);
  const random = drawing(identitySeed, fixedBytes(`${name}/agreement`, 32), tlsScalar);
  return { identitySeed, tlsScalar, identity: DeviceIdentity.generate(random) };
}

export async function vectorJoiner(name: string): Promise<VectorJoiner> {
  const own = install(name);
  const certificate = await selfSignedLeaf(own.identity, NOW, drawingFor(`${name}/certificate`));
  return {
    ...own,
    certificate: signedAnew(certificate, own.tlsScalar),
    certificateRequest: await requestOf(own),
  };
}

/** The request of `identity` for the TLS key of `tls`, which need not be its own. */
export function requestOf({ identity }: Install, tls: Install = install("joiner")): Promise<Uint8Array> {
  const { spki } = tls.identity.tls;
  const publicBinding = identity.sign(LABELS.tlsBinding, spki);
  const sign = (message: Uint8Array): Uint8Array => signFixed(tls.tlsScalar, message);
  return createTlsRequest({ publicKey: identity.publicKey, tls: { spki, publicBinding, sign } });
}

export async function vectorGatehouse(name: string): Promise<VectorGatehouse> {
  const own = install(name);
  const caScalar = fixedBytes(`${name}/authority`, 32);
  const made = await createCaCertificate({
    key: generateTlsKey(drawing(caScalar)),
    gatehouseId: own.identity.id,
    generation: 1,
    now: NOW,
    random: drawingFor(`${name}/authority certificate`),
  });
  const authority = { ...own, caScalar, caCertificate: signedAnew(made, caScalar) };
  return { ...authority, name, certificate: await leafOf(authority, { of: own, usage: "server" }) };
}

export interface LeafWish {
  readonly of: Install;
  readonly usage: LeafUsage;
  /** Whose key to certify, where it is not the install's own. */
  readonly keyOf?: Install;
  /** Unix milliseconds; `NOW` by default. */
  readonly now?: number;
}

export async function leafOf(
  { identity, caScalar, caCertificate }: VectorAuthority,
  { of, usage, keyOf = of, now = NOW }: LeafWish,
): Promise<Uint8Array> {
  const { der } = await issueLeaf({
    usage,
    gatehouseId: identity.id,
    deviceId: of.identity.id,
    spki: keyOf.identity.tls.spki,
    caCertificate,
    caKey: generateTlsKey(drawing(caScalar)),
    now: unixMs(now),
    random: drawingFor(`${of.identity.id}/${usage} certificate`),
  });
  return signedAnew(der, caScalar);
}
