import { ByteReader, ByteWriter, GatehouseError, LIMITS } from "../core/index.ts";
import { type DeviceId, type DeviceIdentity, deviceIdOf, verifyTlsBinding } from "../identity/index.ts";
import { decodePem } from "./pem.ts";
import { OID } from "./profile.ts";
import { SIGNING, signingKey, verifyingKey, x509 } from "./x509.ts";

/**
 * The attribute `OID.identityBinding`: one OCTET STRING of
 *
 * | bytes | field |
 * | --- | --- |
 * | 32 | Ed25519 identity key, raw |
 * | 64 | its signature over the request's SubjectPublicKeyInfo |
 */
const IDENTITY_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const OCTET_STRING = 0x04;

/** A checked wish for a certificate. */
export interface TlsRequest {
  readonly deviceId: DeviceId;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly identityKey: Uint8Array;
  /** SubjectPublicKeyInfo of the key to certify, DER; its holder signed the request. */
  readonly spki: Uint8Array;
}

/** A PKCS#10 request (RFC 2986) for the identity's own TLS key, DER. The private key stays where it is. */
export async function createTlsRequest(identity: DeviceIdentity): Promise<Uint8Array> {
  const pkcs8 = decodePem(identity.tls.privateKeyPem);
  try {
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: "",
      keys: { privateKey: await signingKey(pkcs8), publicKey: await verifyingKey(identity.tls.spki) },
      signingAlgorithm: SIGNING,
      attributes: [new x509.Attribute(OID.identityBinding, [encodeBinding(identity)])],
    });
    return new Uint8Array(request.rawData);
  } finally {
    pkcs8.fill(0);
  }
}

/**
 * Checks a request: one P-256 key, proof of its possession, and the identity's signature over it.
 * @throws certificate.bad-request
 */
export async function parseTlsRequest(der: Uint8Array): Promise<TlsRequest> {
  if (der.length > LIMITS.certificateRequestBytes) throw badRequest("too large");
  try {
    return await check(new x509.Pkcs10CertificateRequest(der));
  } catch (cause) {
    if (cause instanceof GatehouseError) throw cause;
    throw badRequest("malformed", cause);
  }
}

async function check(request: x509.Pkcs10CertificateRequest): Promise<TlsRequest> {
  const { algorithm } = request.publicKey;
  if (!("namedCurve" in algorithm) || algorithm.namedCurve !== SIGNING.namedCurve)
    throw badRequest("not a P-256 key");
  if (!(await request.verify())) throw badRequest("not signed by the key it is for");
  const spki = new Uint8Array(request.publicKey.rawData);
  const { identityKey, signature } = decodeBinding(request);
  if (!verifyTlsBinding({ identityKey, spki, signature }))
    throw badRequest("not signed by the identity it names");
  return { deviceId: deviceIdOf(identityKey), identityKey, spki };
}

function encodeBinding(identity: DeviceIdentity): ArrayBuffer {
  const length = IDENTITY_KEY_BYTES + SIGNATURE_BYTES;
  const { publicKey, tls } = identity;
  const encoded = new ByteWriter().u8(OCTET_STRING).u8(length).raw(publicKey).raw(tls.publicBinding).finish();
  return Uint8Array.from(encoded).buffer;
}

function decodeBinding(request: x509.Pkcs10CertificateRequest): {
  identityKey: Uint8Array;
  signature: Uint8Array;
} {
  const bindings = request.attributes.filter(({ type }) => type === OID.identityBinding);
  const [value, ...others] = bindings.flatMap(({ values }) => values);
  if (value === undefined || others.length > 0) throw badRequest("without exactly one identity binding");
  const reader = new ByteReader(new Uint8Array(value));
  if (reader.u8() !== OCTET_STRING || reader.u8() !== reader.remaining)
    throw badRequest("malformed identity");
  const identityKey = reader.raw(IDENTITY_KEY_BYTES).slice();
  const signature = reader.raw(SIGNATURE_BYTES).slice();
  reader.end();
  return { identityKey, signature };
}

function badRequest(what: string, cause?: unknown): GatehouseError<"certificate.bad-request"> {
  return new GatehouseError("certificate.bad-request", `the certificate request is ${what}`, { cause });
}
