/** The certificate request of docs/pairing.md, made and checked. */
import { createPublicKey, verify } from "node:crypto";
import { concat, equal, fromHex, hex, sha256 } from "./bytes.ts";
import { bits, bitsOf, der, elements, end, objectId, only, sequence, take } from "./der.ts";
import { isSigned } from "./identity.ts";
import { Refused } from "./refused.ts";

export const TLS_BINDING = "gatehouse/v1/identity/tls-binding";
export const ECDSA_WITH_SHA256 = fromHex("300a06082a8648ce3d040302");
const P256_HEAD = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
const BINDING_ATTRIBUTE = "6981d2dc80e1af86c286d7a5c5d6f69981bcb457";

export interface TlsKey {
  /** The 91 bytes. */
  readonly spki: Uint8Array;
  /** ECDSA with SHA-256, DER. */
  sign(message: Uint8Array): Uint8Array;
}

interface Signer {
  readonly publicKey: Uint8Array;
  sign(label: string, message: Uint8Array): Uint8Array;
}

export function createRequest(identity: Signer, tls: TlsKey): Uint8Array {
  const binding = concat(identity.publicKey, identity.sign(TLS_BINDING, tls.spki));
  const attribute = sequence(objectId(BINDING_ATTRIBUTE), der(0x31, der(0x04, binding)));
  const info = sequence(der(0x02, Uint8Array.of(0)), sequence(), tls.spki, der(0xa0, attribute));
  return sequence(info, ECDSA_WITH_SHA256, bits(tls.sign(info)));
}

/** What the gatehouse looks at: returns the key to certify. */
export function checkRequest(
  request: Uint8Array,
  identityKey: Uint8Array,
  tlsKeyHash: Uint8Array,
): Uint8Array {
  try {
    const spki = readRequest(request, identityKey);
    if (!equal(sha256(spki), tlsKeyHash)) throw bad("for another key than the connection's");
    return spki;
  } catch (failure) {
    throw failure instanceof Refused ? failure : bad("not DER");
  }
}

function readRequest(request: Uint8Array, identityKey: Uint8Array): Uint8Array {
  const parts = [...elements(only(request, 0x30).content)];
  const info = take(parts, 0x30);
  const algorithm = take(parts, 0x30);
  const signature = bitsOf(take(parts, 0x03));
  end(parts);
  const fields = [...elements(info.content)];
  if (hex(take(fields, 0x02).content) !== "00") throw bad("of another version");
  take(fields, 0x30);
  const spki = take(fields, 0x30).whole;
  const attributes = take(fields, 0xa0);
  end(fields);
  const isOurs = equal(algorithm.whole, ECDSA_WITH_SHA256) && isSignedByTls(spki, info.whole, signature);
  if (!isOurs) throw bad("not signed by a P-256 key that it is for");
  checkBinding(attributes.content, identityKey, spki);
  return spki;
}

function checkBinding(attributes: Uint8Array, identityKey: Uint8Array, spki: Uint8Array): void {
  const bindings = elements(attributes).flatMap(({ content }) => {
    const fields = [...elements(content)];
    const isBinding = hex(take(fields, 0x06).content) === BINDING_ATTRIBUTE;
    const values = elements(take(fields, 0x31).content);
    end(fields);
    return isBinding ? values : [];
  });
  const [binding, ...more] = bindings;
  if (binding?.tag !== 0x04 || binding.content.length !== 96 || more.length > 0)
    throw bad("without one binding");
  const [key, signature] = [binding.content.slice(0, 32), binding.content.slice(32)];
  if (!equal(key, identityKey)) throw bad("another identity's");
  if (!isSigned(key, TLS_BINDING, spki, signature)) throw bad("not signed by its identity");
}

/** Whether the P-256 key in `spki` signed `message`; no other kind of key does. */
export function isSignedByTls(spki: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (spki.length !== 91 || !hex(spki).startsWith(P256_HEAD)) return false;
  const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  return verify("sha256", message, key, signature);
}

const bad = (why: string): Refused => new Refused("certificate.bad-request", why);
