/** The steps of docs/keys.md and docs/storage.md that several tests take, by node:crypto alone. Nothing of src/ is used here. */
import { createDecipheriv, hkdfSync, timingSafeEqual } from "node:crypto";
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
    const sealed = take(take(4).readUInt32BE());
    const binding = Buffer.concat([numberAndTime, prefixed(kind), prefixed(parameters)]);
    return { kind: kind.toString(), parameters, sealed, binding };
  });
}
