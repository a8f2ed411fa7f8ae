/** The steps of docs/keys.md and docs/storage.md that several tests take, by node:crypto alone. Nothing of src/ is used here. */
import {
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  timingSafeEqual,
} from "node:crypto";
import { expect } from "vitest";

export function hkdf(ikm: Uint8Array, salt: Uint8Array, info: string, length: number): Buffer {
  return Buffer.from(hkdfSync("sha256", ikm, salt, info, length));
}

export function u32(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

export const prefixed = (bytes: Uint8Array): Buffer => Buffer.concat([u32(bytes.length), bytes]);

export function opened(
  sealed: Buffer,
  { key, label, header, binding }: { key: Buffer; label: string; header: Buffer; binding: Buffer },
): Buffer {
  const derived = hkdf(key, sealed.subarray(0, 32), `${label}/key-and-commitment`, 64);
  expect(timingSafeEqual(derived.subarray(32), sealed.subarray(32, 64))).toBe(true);
  const decipher = createDecipheriv("chacha20-poly1305", derived.subarray(0, 32), Buffer.alloc(12), {
    authTagLength: 16,
  });
  const text = sealed.subarray(64, -16);
  decipher.setAAD(Buffer.concat([header, prefixed(binding)]), { plaintextLength: text.length });
  decipher.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(text), decipher.final()]);
}

/** The shared secret of 32 secret bytes and a raw X25519 public key. */
export function shared(secret: Buffer, publicKey: Buffer): Buffer {
  const own = Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), secret]);
  const other = Buffer.concat([Buffer.from("302a300506032b656e032100", "hex"), publicKey]);
  return diffieHellman({
    privateKey: createPrivateKey({ key: own, format: "der", type: "pkcs8" }),
    publicKey: createPublicKey({ key: other, format: "der", type: "spki" }),
  });
}

/** The keyring in a slot, by what its key's provider gives. */
export function keyringIn(
  { publicKey, sealed, binding }: ReturnType<typeof slotsOf>[number],
  { provided, id, head }: { provided: Buffer; id: Buffer; head: Buffer },
): Buffer {
  const slotKey = hkdf(provided, id, "gatehouse/v1/vault/key-slot", 32);
  const secret = hkdf(slotKey, id, "gatehouse/v1/vault/key-slot/pair", 32);
  const ephemeral = sealed.subarray(0, 32);
  const salt = Buffer.concat([ephemeral, publicKey]);
  const key = hkdf(shared(secret, ephemeral), salt, "gatehouse/v1/vault/key-slot/seal", 32);
  return opened(sealed.subarray(32), { key, label: "gatehouse/v1/vault/keyring", header: head, binding });
}

/** The slots of a header, each with the bytes that its keyring is bound to. */
export function slotsOf(file: Buffer) {
  let offset = 29;
  const take = (length: number): Buffer => {
    offset += length;
    return file.subarray(offset - length, offset);
  };
  return Array.from({ length: file.readUInt8(28) }, () => {
    const numberAndTime = take(9);
    const kind = take(take(1).readUInt8());
    const parameters = take(take(4).readUInt32BE());
    const publicKey = take(32);
    const proof = take(32);
    const sealed = take(take(4).readUInt32BE());
    const binding = Buffer.concat([numberAndTime, prefixed(kind), prefixed(parameters), publicKey, proof]);
    return { kind: kind.toString(), parameters, publicKey, proof, sealed, binding };
  });
}
