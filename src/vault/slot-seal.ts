import { createSecretKey, type KeyObject } from "node:crypto";
import { concat, type Random, utf8 } from "../core/index.ts";
import {
  agree,
  agreementKeyOf,
  agreementPublicKey,
  generateAgreementKey,
  hkdfSha256,
  LABELS,
  openOnce,
  sealOnce,
} from "../crypto/index.ts";

/**
 * The keyring sealed to a slot's X25519 key, as age does it (C2SP age v1, "The X25519 recipient type"), so that it can be
 * sealed anew without the slot's secret:
 *
 * | bytes | field |
 * | --- | --- |
 * | 32 | ephemeral X25519 public key, made for this one sealing |
 * | … | `sealOnce` of the keyring under HKDF-SHA-256(ikm = X25519(ephemeral, slot), salt = ephemeral ‖ slot, info = label, 32 bytes) |
 */

const PUBLIC_BYTES = 32;
const KEY_BYTES = 32;

interface Place {
  readonly header: Uint8Array;
  readonly associatedData: Uint8Array;
}

/** Of a slot whose 32 secret bytes are these. */
export function publicKeyOf(secret: KeyObject): Uint8Array {
  return agreementPublicKey(pairOf(secret));
}

/** Borrows `plaintext`. `publicKey` is one that `publicKeyOf` made. */
export function sealToSlot(
  publicKey: Uint8Array,
  { plaintext, random, ...place }: Place & { readonly plaintext: Uint8Array; readonly random: Random },
): Uint8Array {
  const own = generateAgreementKey(random);
  const ephemeral = agreementPublicKey(own);
  const shared = agree(own, publicKey);
  if (shared === undefined) throw new RangeError("keyring: a slot's key of small order");
  const key = agreedKey(shared, concat(ephemeral, publicKey));
  return concat(ephemeral, sealOnce({ key, label: LABELS.vaultKeyring, ...place, plaintext, random }));
}

/** The plaintext, the caller's to wipe; `undefined` when anything differs from what was sealed. */
export function openToSlot(
  secret: KeyObject,
  { sealed, ...place }: Place & { readonly sealed: Uint8Array },
): Uint8Array | undefined {
  const own = pairOf(secret);
  const ephemeral = sealed.subarray(0, PUBLIC_BYTES);
  const shared = agree(own, ephemeral);
  if (shared === undefined) return undefined;
  const key = agreedKey(shared, concat(ephemeral, agreementPublicKey(own)));
  return openOnce({ key, label: LABELS.vaultKeyring, ...place, sealed: sealed.subarray(PUBLIC_BYTES) });
}

/** Takes `shared`. */
function agreedKey(shared: Uint8Array, salt: Uint8Array): KeyObject {
  const info = utf8(LABELS.vaultSlotSeal);
  const bytes = hkdfSha256({ ikm: shared, salt, info, length: KEY_BYTES });
  try {
    return createSecretKey(bytes);
  } finally {
    shared.fill(0);
    bytes.fill(0);
  }
}

function pairOf(secret: KeyObject): KeyObject {
  const bytes = secret.export();
  try {
    return agreementKeyOf(bytes);
  } finally {
    bytes.fill(0);
  }
}
