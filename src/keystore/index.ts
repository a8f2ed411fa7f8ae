export { commandProvider } from "./command.ts";
export { keyFileProvider } from "./key-file.ts";
export { readKeyPointer, writeKeyPointer } from "./key-pointer.ts";
export { isKeyId, type KeyProvider, type ProvidedKey } from "./key-provider.ts";
export { type KeyringOptions, keyringProvider } from "./keyring.ts";
export { type AskPassphrase, type PassphrasePrompt, passphraseProvider } from "./passphrase.ts";
export {
  formatRecipient,
  generateRecoveryKey,
  parseRecipient,
  RECOVERY_KIND,
  type RecoveryKey,
  recipientIn,
  recipientOf,
  recoveryProvider,
  recoveryRecipient,
} from "./recovery.ts";
export {
  type KeyProviderContext,
  type KeyProviderSpec,
  keyProviderFor,
  parseKeyProviderSpec,
} from "./spec.ts";
export { systemdCredentialProvider } from "./systemd-credential.ts";
