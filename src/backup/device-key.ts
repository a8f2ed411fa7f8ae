import type { Identity } from "age-encryption";
import { concat, equalBytes, utf8 } from "../core/index.ts";
import { aeadOpen, hkdfSha256 } from "../crypto/index.ts";

/** A device's X25519 key, which stays where it is. */
export interface DeviceKey {
  /** Raw, 32 bytes: what the recipient `age1…` of the device says. */
  readonly publicKey: Uint8Array;
  /** The shared secret with a raw X25519 public key, the caller's to wipe; `undefined` for a bad one. */
  agree(publicKey: Uint8Array): Uint8Array | undefined;
}

const SHARE_BYTES = 32;
const NONCE = new Uint8Array(12);
const NOTHING = new Uint8Array();

/**
 * An age identity of a device's own key: the `X25519` recipient of age v1 (C2SP age, "The X25519 recipient type").
 *
 * A stanza is `-> X25519 share`, the share in base64 without padding, and the file key under HKDF-SHA-256(ikm = X25519(key,
 * share), salt = share ‖ recipient, info = `age-encryption.org/v1/X25519`).
 */
export function deviceKeyIdentity(key: DeviceKey): Identity {
  return {
    unwrapFileKey: (stanzas) => {
      for (const { args, body } of stanzas) {
        const [type, share = ""] = args;
        const fileKey = type === "X25519" && args.length === 2 ? unwrapped(key, share, body) : undefined;
        if (fileKey !== undefined) return fileKey;
      }
      return null;
    },
  };
}

function unwrapped(key: DeviceKey, text: string, body: Uint8Array): Uint8Array | undefined {
  const share = new Uint8Array(Buffer.from(text, "base64"));
  const isCanonical = equalBytes(utf8(Buffer.from(share).toString("base64").replace(/=+$/, "")), utf8(text));
  const shared = isCanonical && share.length === SHARE_BYTES ? key.agree(share) : undefined;
  if (shared === undefined) return undefined;
  const wrapKey = hkdfSha256({
    ...{ ikm: shared, salt: concat(share, key.publicKey) },
    ...{ info: utf8("age-encryption.org/v1/X25519"), length: 32 },
  });
  try {
    return aeadOpen({ key: wrapKey, nonce: NONCE, associatedData: NOTHING, sealed: body });
  } finally {
    wrapKey.fill(0);
    shared.fill(0);
  }
}
