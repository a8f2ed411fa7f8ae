import { copyOf, fromHex, GatehouseError, hex, LIMITS, MalformedBytes } from "../core/index.ts";
import { verifyP256 } from "../crypto/index.ts";
import { type DeviceId, deviceIdOf, type TlsIdentity, verifyTlsBinding } from "../identity/index.ts";
import { DerReader, element, explicit, TAG } from "./der.ts";
import { DER } from "./profile.ts";

/**
 * The attribute `DER.identityBinding`: one OCTET STRING of
 *
 * | bytes | field |
 * | --- | --- |
 * | 32 | Ed25519 identity key, raw |
 * | 64 | its signature over the request's SubjectPublicKeyInfo |
 */
const IDENTITY_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const P256_SPKI_BYTES = 91;

/** A checked wish for a certificate. */
export interface TlsRequest {
  readonly deviceId: DeviceId;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly identityKey: Uint8Array;
  /** SubjectPublicKeyInfo of the key to certify, DER; its holder signed the request. */
  readonly spki: Uint8Array;
}

/** What a request needs of a `DeviceIdentity`: no private key. */
export interface Requester {
  readonly publicKey: Uint8Array;
  readonly tls: Pick<TlsIdentity, "spki" | "publicBinding" | "sign">;
}

/** A PKCS#10 request (RFC 2986) for the identity's own TLS key, DER. The private key stays where it is. */
export function createTlsRequest({ publicKey, tls }: Requester): Promise<Uint8Array> {
  const binding = element(TAG.octetString, publicKey, tls.publicBinding);
  const type = element(TAG.objectIdentifier, fromHex(DER.identityBinding));
  const attribute = element(TAG.sequence, type, element(TAG.set, binding));
  const version = element(TAG.integer, Uint8Array.of(0));
  const signed = element(
    TAG.sequence,
    ...[version, fromHex(DER.emptyName), tls.spki, element(explicit(0), attribute)],
  );
  const signature = element(TAG.bitString, Uint8Array.of(0), tls.sign(signed));
  return Promise.resolve(element(TAG.sequence, signed, fromHex(DER.ecdsaWithSha256), signature));
}

/**
 * Checks a request: strict DER, one P-256 key, proof of its possession, and the identity's signature over it.
 * @throws certificate.bad-request
 */
export function parseTlsRequest(der: Uint8Array): Promise<TlsRequest> {
  return Promise.resolve().then(() => {
    if (der.length > LIMITS.certificateRequestBytes) throw badRequest("too large");
    try {
      return check(readRequest(copyOf(der)));
    } catch (cause) {
      if (cause instanceof GatehouseError) throw cause;
      throw badRequest("malformed", cause);
    }
  });
}

/** RFC 2986 §4, as it stands there. */
interface Request {
  /** The whole CertificationRequestInfo element: what the key's holder signs. */
  readonly signed: Uint8Array;
  readonly algorithm: Uint8Array;
  readonly signature: Uint8Array;
  readonly spki: Uint8Array;
  /** The values of our attribute. */
  readonly bindings: readonly Uint8Array[];
}

function readRequest(der: Uint8Array): Request {
  const outer = new DerReader(der);
  const parts = outer.inside(TAG.sequence);
  outer.end();
  const signed = parts.whole(TAG.sequence);
  const algorithm = parts.whole(TAG.sequence);
  const signature = parts.bits();
  parts.end();
  const info = new DerReader(signed).inside(TAG.sequence);
  if (hex(info.unsigned()) !== "00") throw new MalformedBytes("unknown version");
  info.whole(TAG.sequence);
  const spki = info.whole(TAG.sequence);
  const bindings = readBindings(info.inside(explicit(0)));
  info.end();
  return { signed, algorithm, signature, spki, bindings };
}

/** Other attributes are none of our business. */
function readBindings(attributes: DerReader): readonly Uint8Array[] {
  const bindings: Uint8Array[] = [];
  while (!attributes.isAtEnd) {
    const attribute = attributes.inside(TAG.sequence);
    const type = hex(attribute.content(TAG.objectIdentifier));
    const values = attribute.inside(TAG.set);
    attribute.end();
    while (type === DER.identityBinding && !values.isAtEnd) bindings.push(values.content(TAG.octetString));
  }
  return bindings;
}

function check({ signed, algorithm, signature, spki, bindings }: Request): TlsRequest {
  // One encoding of each key: its hash is what the device record pins.
  if (spki.length !== P256_SPKI_BYTES || !hex(spki).startsWith(DER.p256SpkiStart)) {
    throw badRequest("not for a P-256 key");
  }
  if (hex(algorithm) !== DER.ecdsaWithSha256 || !verifyP256(spki, signed, signature)) {
    throw badRequest("not signed by the key it is for");
  }
  const [binding, ...others] = bindings;
  if (binding?.length !== IDENTITY_KEY_BYTES + SIGNATURE_BYTES || others.length > 0) {
    throw badRequest("without exactly one identity binding");
  }
  const identityKey = binding.subarray(0, IDENTITY_KEY_BYTES);
  if (!verifyTlsBinding({ identityKey, spki, signature: binding.subarray(IDENTITY_KEY_BYTES) })) {
    throw badRequest("not signed by the identity it names");
  }
  return { deviceId: deviceIdOf(identityKey), identityKey, spki };
}

function badRequest(what: string, cause?: unknown): GatehouseError<"certificate.bad-request"> {
  return new GatehouseError("certificate.bad-request", `the certificate request is ${what}`, { cause });
}
