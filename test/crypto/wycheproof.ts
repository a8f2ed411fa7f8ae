/**
 * Judges Wycheproof's vectors (https://github.com/C2SP/wycheproof) by what src/crypto and src/identity answer. Nothing is
 * passed over in silence: a schema, curve, result or flag without a rule is a failure.
 *
 * | algorithm | `valid` | `invalid` |
 * | --- | --- | --- |
 * | CHACHA20-POLY1305 | seals to `ct` and `tag`, and opens | does not open; where `iv` is not 96 bits: RangeError, both ways |
 * | HKDF-SHA-256 | gives `okm` | RangeError |
 * | EDDSA, edwards25519 | verifies; where the file has the secret key, signs to `sig` | does not verify, and throws nothing |
 * | XDH, curve25519 | gives `shared`, an identity's agreement too | is refused |
 *
 * Only XDH has `acceptable` ones, and these flags decide:
 *
 * | flag | then |
 * | --- | --- |
 * | `ZeroSharedSecret`, or a `shared` of zeros without it | refused: the check of RFC 7748 §6.1 |
 * | `Twist`, `NonCanonicalPublic`, and what only names an edge case | gives `shared`: RFC 7748 §5 has them accepted |
 */
import { concat, equalBytes, hex } from "../../src/core/index.ts";
import {
  aeadOpen,
  aeadSeal,
  agree,
  generateAgreementKey,
  generateSigningKey,
  hkdfSha256,
  signEd25519,
  signingPublicKey,
  verifyEd25519,
} from "../../src/crypto/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { drawing, fixedBytes } from "../vectors/fixed.ts";
import type { Claim, WycheproofVector } from "./wycheproof-files.ts";

type Claimed<Kind extends Claim["kind"]> = Extract<Claim, { readonly kind: Kind }>;

const ACCEPTED_FLAGS = new Set([
  ...["Twist", "NonCanonicalPublic", "SmallPublicKey", "SpecialPublicKey", "LowOrderPublic"],
  ...["ZeroSharedSecret", "Ktv", "EdgeCaseShared", "EdgeCaseMultiplication", "EdgeCasePrivateKey", "Normal"],
]);

const [OTHER_SEED, OTHER_SCALAR] = [fixedBytes("wycheproof/seed", 32), fixedBytes("wycheproof/scalar", 32)];

/** What is wrong; `undefined` when all is as the vector says. */
export function judge(vector: WycheproofVector): string | undefined {
  try {
    return verdictOn(vector);
  } catch (failure) {
    return String(failure);
  }
}

function verdictOn({ result, flags, claim }: WycheproofVector): string | undefined {
  if (result !== "acceptable") return judgeAs(claim, result);
  const unknown = flags.find((flag) => !ACCEPTED_FLAGS.has(flag));
  if (claim.kind !== "xdh" || unknown !== undefined)
    return `no rule for acceptable: ${unknown ?? claim.kind}`;
  const isZero = claim.shared.every((byte) => byte === 0);
  if (flags.includes("ZeroSharedSecret") && !isZero) return "ZeroSharedSecret, and it is not";
  return judgeAs(claim, isZero ? "invalid" : "valid");
}

function judgeAs(claim: Claim, result: "valid" | "invalid"): string | undefined {
  switch (claim.kind) {
    case "aead":
      return result === "valid" ? validAead(claim) : invalidAead(claim);
    case "hkdf":
      return result === "valid" ? validHkdf(claim) : unlessRangeError(() => hkdf(claim));
    case "eddsa":
      return judgeEddsa(claim, result === "valid");
    case "xdh":
      return judgeXdh(claim, result === "valid" ? claim.shared : undefined);
  }
}

function validAead({
  key,
  iv: nonce,
  aad: associatedData,
  msg,
  ct,
  tag,
}: Claimed<"aead">): string | undefined {
  const context = { key, nonce, associatedData };
  const sealed = concat(ct, tag);
  return (
    unlessEqual("sealed", aeadSeal({ ...context, plaintext: msg }), sealed) ??
    unlessEqual("opened", aeadOpen({ ...context, sealed }), msg)
  );
}

function invalidAead({
  key,
  iv: nonce,
  aad: associatedData,
  msg,
  ct,
  tag,
}: Claimed<"aead">): string | undefined {
  const context = { key, nonce, associatedData };
  const open = () => aeadOpen({ ...context, sealed: concat(ct, tag) });
  if (nonce.length === 12) return unlessEqual("opened", open(), undefined);
  return unlessRangeError(open) ?? unlessRangeError(() => aeadSeal({ ...context, plaintext: msg }));
}

function hkdf({ ikm, salt, info, size }: Claimed<"hkdf">): Uint8Array {
  return hkdfSha256({ ikm, salt, info, length: size });
}

function validHkdf(claim: Claimed<"hkdf">): string | undefined {
  return unlessEqual("okm", hkdf(claim), claim.okm);
}

function judgeEddsa({ sk, pk, msg, sig }: Claimed<"eddsa">, isValid: boolean): string | undefined {
  const verifies = verifyEd25519(pk, msg, sig);
  if (verifies !== isValid) return verifies ? "it verifies" : "it does not verify";
  if (sk === undefined) return undefined;
  const key = generateSigningKey(drawing(sk));
  return (
    unlessEqual("public key", signingPublicKey(key), pk) ??
    (isValid ? unlessEqual("signature", signEd25519(key, msg), sig) : undefined)
  );
}

function judgeXdh({ private: secret, public: other }: Claimed<"xdh">, shared: Uint8Array | undefined) {
  const random = drawing(OTHER_SEED, secret, OTHER_SCALAR);
  return (
    unlessEqual("shared", agree(generateAgreementKey(drawing(secret)), other), shared) ??
    unlessEqual("shared by an identity", DeviceIdentity.generate(random).agreement.agree(other), shared)
  );
}

function unlessEqual(what: string, is: Uint8Array | undefined, expected: Uint8Array | undefined) {
  if (is === undefined || expected === undefined)
    return is === expected ? undefined : `${what}: ${shown(is)}`;
  return equalBytes(is, expected) ? undefined : `${what}: ${shown(is)}`;
}

function unlessRangeError(call: () => unknown): string | undefined {
  try {
    call();
    return "no error";
  } catch (failure) {
    return failure instanceof RangeError ? undefined : String(failure);
  }
}

const shown = (bytes: Uint8Array | undefined): string => (bytes === undefined ? "refused" : hex(bytes));
