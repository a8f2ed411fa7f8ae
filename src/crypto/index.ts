export {
  type AeadContext,
  aeadOpen,
  aeadSeal,
  openerOf,
  openOnce,
  SEALED_OVERHEAD_BYTES,
  type SealContext,
  sealOnce,
} from "./aead.ts";
export {
  exportSigningKey,
  generateSigningKey,
  importSigningKey,
  signEd25519,
  signingPublicKey,
  signLabelled,
  verifyEd25519,
  verifyLabelled,
} from "./ed25519.ts";
export {
  equalSecrets,
  type HkdfInput,
  hkdfSha256,
  hkdfSha512,
  hmacSha256,
  hmacSha512,
  sha256,
  sha512,
} from "./hash.ts";
export { LABELS, type Label } from "./labels.ts";
export {
  exportTlsKey,
  generateTlsKey,
  importTlsKey,
  importTlsPublicKey,
  signP256,
  tlsKeyPem,
  tlsPublicKey,
  verifyP256,
} from "./p256.ts";
export { ristretto255 } from "./ristretto255.ts";
export {
  agree,
  agreementKeyOf,
  agreementPublicKey,
  exportAgreementKey,
  generateAgreementKey,
  importAgreementKey,
} from "./x25519.ts";
