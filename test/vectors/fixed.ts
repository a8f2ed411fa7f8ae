/** What is random elsewhere, fixed: everything here is public, and good for vectors alone. */
import { createHash } from "node:crypto";
import { p256 } from "@noble/curves/nist.js";
import { DerReader, element, TAG } from "../../src/certs/der.ts";
import { DER } from "../../src/certs/profile.ts";
import { concat, fromHex, type Random, utf8 } from "../../src/core/index.ts";

/** `length` bytes that the name leads to: SHA-512 of the name and a counter. */
export function fixedBytes(name: string, length: number): Uint8Array {
  const blocks = Array.from({ length: Math.ceil(length / 64) }, (_, index) =>
    createHash("sha512")
      .update(utf8(`gatehouse test vector/${name}/${index}`))
      .digest(),
  );
  return concat(...blocks).slice(0, length);
}

/** Hands out exactly these byte strings, in order. @throws RangeError when another length is asked for, or one more. */
export function drawing(...chunks: readonly Uint8Array[]): Random {
  const left = [...chunks];
  return {
    bytes: (length) => {
      const next = left.shift();
      if (next?.length !== length) throw new RangeError(`${length} bytes drawn, ${next?.length ?? 0} fixed`);
      return Uint8Array.from(next);
    },
  };
}

/** Draws by name: as many as are wanted. */
export function drawingFor(name: string): Random {
  let count = 0;
  return {
    bytes: (length) => {
      count += 1;
      return fixedBytes(`${name}/${count}`, length);
    },
  };
}

/** ECDSA with a nonce that follows from key and message (RFC 6979): the same bytes each time. */
export function signFixed(scalar: Uint8Array, message: Uint8Array): Uint8Array {
  return p256.sign(message, scalar, { format: "der", lowS: false });
}

/** The certificate with its signature made anew, and always the same. */
export function signedAnew(certificate: Uint8Array, scalar: Uint8Array): Uint8Array {
  const signed = new DerReader(certificate).inside(TAG.sequence).whole(TAG.sequence);
  const signature = element(TAG.bitString, Uint8Array.of(0), signFixed(scalar, signed));
  return element(TAG.sequence, signed, fromHex(DER.ecdsaWithSha256), signature);
}
