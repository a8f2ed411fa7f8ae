import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";
import { ByteWriter, concat, type Random, utf8 } from "../core/index.ts";
import { equalSecrets, hkdfSha256 } from "./hash.ts";
import type { Label } from "./labels.ts";

/**
 * ChaCha20-Poly1305 (RFC 8439), bare and as the self-contained form everything at rest uses:
 *
 * | bytes | field |
 * | --- | --- |
 * | 32 | salt, fresh from `random` |
 * | 32 | commitment to key, salt and label |
 * | n | ciphertext, as long as the plaintext |
 * | 16 | Poly1305 tag |
 *
 * key ‖ commitment = HKDF-SHA-256(ikm = key, salt, info = label ‖ "/key-and-commitment", 64 bytes); the nonce is zero,
 * since each key seals once. Associated data = header ‖ u32 length ‖ associated data: the header's length must
 * follow from its own first bytes.
 */

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SALT_BYTES = 32;
const COMMITMENT_BYTES = 32;
const ALGORITHM = "chacha20-poly1305";
const ZERO_NONCE = new Uint8Array(NONCE_BYTES);

/** What `sealOnce` adds to a plaintext. */
export const SEALED_OVERHEAD_BYTES = SALT_BYTES + COMMITMENT_BYTES + TAG_BYTES;

export interface AeadContext {
  /** 32 bytes. */
  readonly key: Uint8Array | KeyObject;
  /** 12 bytes, never used twice under one key. */
  readonly nonce: Uint8Array;
  readonly associatedData: Uint8Array;
}

/** @returns ciphertext ‖ tag(16). @throws RangeError on a wrong key or nonce length. */
export function aeadSeal(context: AeadContext & { readonly plaintext: Uint8Array }): Uint8Array {
  checkLengths(context);
  const cipher = createCipheriv(ALGORITHM, context.key, context.nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(context.associatedData, { plaintextLength: context.plaintext.length });
  const ciphertext = cipher.update(context.plaintext);
  cipher.final();
  return concat(ciphertext, cipher.getAuthTag());
}

/**
 * @returns the plaintext, or `undefined` when `sealed` (ciphertext ‖ tag) does not verify.
 * @throws RangeError on a wrong key or nonce length.
 */
export function aeadOpen(context: AeadContext & { readonly sealed: Uint8Array }): Uint8Array | undefined {
  checkLengths(context);
  const size = context.sealed.length - TAG_BYTES;
  if (size < 0) return undefined;
  const decipher = createDecipheriv(ALGORITHM, context.key, context.nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(context.associatedData, { plaintextLength: size });
  decipher.setAuthTag(context.sealed.subarray(size));
  const plaintext = decipher.update(context.sealed.subarray(0, size));
  try {
    decipher.final();
  } catch {
    plaintext.fill(0);
    return undefined;
  }
  return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length);
}

export interface SealContext {
  /** 32 bytes. */
  readonly key: Uint8Array | KeyObject;
  /** What the sealed thing is. */
  readonly label: Label;
  /** The bytes that stand before the sealed ones where they are kept: bound, not repeated in the output. */
  readonly header: Uint8Array;
  /** Bound, kept elsewhere. */
  readonly associatedData: Uint8Array;
}

/** Seals under a key of its own. @returns salt(32) ‖ commitment(32) ‖ ciphertext ‖ tag(16). */
export function sealOnce(
  context: SealContext & { readonly plaintext: Uint8Array; readonly random: Random },
): Uint8Array {
  const salt = context.random.bytes(SALT_BYTES);
  const derived = derive(context, salt);
  try {
    const ciphertext = aeadSeal({
      key: derived.key,
      nonce: ZERO_NONCE,
      associatedData: boundData(context),
      plaintext: context.plaintext,
    });
    return concat(salt, derived.commitment, ciphertext);
  } finally {
    derived.key.fill(0);
  }
}

/** @returns the plaintext, or `undefined` when the key, label, header, associated data or any byte differs. */
export function openOnce(context: SealContext & { readonly sealed: Uint8Array }): Uint8Array | undefined {
  return openerOf(context)?.();
}

/**
 * `openOnce` for what is opened often: deriving the key, two thirds of the cost of a short plaintext, is done here and once.
 * Borrows `sealed`, `header` and `associatedData` for as long as the opener lives.
 *
 * @returns what opens it, each time into bytes of the caller's own; `undefined` when key or label is another.
 */
export function openerOf(
  context: SealContext & { readonly sealed: Uint8Array },
): (() => Uint8Array | undefined) | undefined {
  const { sealed } = context;
  if (sealed.length < SEALED_OVERHEAD_BYTES) return undefined;
  const derived = derive(context, sealed.subarray(0, SALT_BYTES));
  try {
    const commitment = sealed.subarray(SALT_BYTES, SALT_BYTES + COMMITMENT_BYTES);
    // Poly1305 alone does not bind the key: one ciphertext can be made to open under several.
    if (!equalSecrets(commitment, derived.commitment)) return undefined;
    const key = createSecretKey(derived.key);
    const associatedData = boundData(context);
    const ciphertext = sealed.subarray(SALT_BYTES + COMMITMENT_BYTES);
    return () => aeadOpen({ key, nonce: ZERO_NONCE, associatedData, sealed: ciphertext });
  } finally {
    derived.key.fill(0);
  }
}

function derive({ key, label }: SealContext, salt: Uint8Array): { key: Uint8Array; commitment: Uint8Array } {
  if (keyLength(key) !== KEY_BYTES)
    throw new RangeError(`seal: key of ${keyLength(key)} bytes, not ${KEY_BYTES}`);
  const both = hkdfSha256({
    ikm: key,
    salt,
    info: utf8(`${label}/key-and-commitment`),
    length: KEY_BYTES + COMMITMENT_BYTES,
  });
  return { key: both.subarray(0, KEY_BYTES), commitment: both.subarray(KEY_BYTES) };
}

function boundData({ header, associatedData }: SealContext): Uint8Array {
  return new ByteWriter().raw(header).prefixed(associatedData).finish();
}

function checkLengths({ key, nonce }: AeadContext): void {
  if (keyLength(key) !== KEY_BYTES)
    throw new RangeError(`aead: key of ${keyLength(key)} bytes, not ${KEY_BYTES}`);
  if (nonce.length !== NONCE_BYTES) {
    throw new RangeError(`aead: nonce of ${nonce.length} bytes, not ${NONCE_BYTES}`);
  }
}

function keyLength(key: Uint8Array | KeyObject): number | undefined {
  return key instanceof Uint8Array ? key.length : key.symmetricKeySize;
}
