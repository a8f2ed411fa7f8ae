/**
 * Every domain-separation label, each used for one purpose only: a signature, key or hash made for one of them
 * means nothing under another. Never reuse, rename or remove one; a changed format gets a new label.
 */
export const LABELS = {
  /** Check characters of a device id. */
  deviceIdCheck: "gatehouse/v1/device-id/check",
  /** Identity key over the X25519 public key. */
  agreementBinding: "gatehouse/v1/identity/agreement-binding",
  /** Identity key over the TLS key's SubjectPublicKeyInfo. */
  tlsBinding: "gatehouse/v1/identity/tls-binding",
  /** Identity key over everything in the identity file before the signature. */
  identityFile: "gatehouse/v1/identity/file",

  /** The identity file sealed under what a key provider gives. */
  identitySealed: "gatehouse/v1/identity/sealed",
  /** A further TLS key of an identity, in a file of its own. */
  identityTlsKey: "gatehouse/v1/identity/tls-key",
  /** The key, derived from the identity's signing key, that those files are sealed under. */
  identityTlsRing: "gatehouse/v1/identity/tls-ring",
  /** Gatehouse's identity key over the answer to a renewal. */
  renewal: "gatehouse/v1/renewal",

  /** Gatehouse's identity key over what it needs to show itself while the vault is sealed. */
  doorRecord: "gatehouse/v1/door-record",

  /** The CA's sealed signing key. */
  caKey: "gatehouse/v1/ca/signing-key",

  /** A data-encryption key sealed under a key-encryption key. */
  vaultWrappedKey: "gatehouse/v1/vault/wrapped-dek",
  /** A secret's value sealed under its data-encryption key. */
  vaultValue: "gatehouse/v1/vault/value",
  /** The keyring sealed under what a key provider gives. */
  vaultKeyring: "gatehouse/v1/vault/keyring",
  /** The key of a slot in the vault's header, derived from what a key provider gives. */
  vaultSlot: "gatehouse/v1/vault/key-slot",
  /** The X25519 secret of a slot, derived from its key; what the keyring is sealed to. */
  vaultSlotPair: "gatehouse/v1/vault/key-slot/pair",
  /** The key that one sealing of the keyring to a slot agrees on. */
  vaultSlotSeal: "gatehouse/v1/vault/key-slot/seal",
  /** What a slot's key says of the vault that it was made for, … */
  vaultSlotProof: "gatehouse/v1/vault/key-slot/proof",
  /** … by this, derived from the vault's storage root. */
  vaultRootProof: "gatehouse/v1/vault/root-proof",
  /** The key made for whoever holds a recovery key. */
  recoveryKey: "gatehouse/v1/keystore/recovery",
  /** MAC over the vault's header file. */
  vaultHeader: "gatehouse/v1/vault/header",
  /** MAC over a journal segment's first bytes. */
  vaultJournalSegment: "gatehouse/v1/vault/journal-segment",
  /** MAC over the header of a group of transactions, its length above all. */
  vaultJournalGroup: "gatehouse/v1/vault/journal-group",
  /** A group of transactions, sealed. */
  vaultJournal: "gatehouse/v1/vault/journal",
  /** One chunk of a snapshot, sealed. */
  vaultSnapshot: "gatehouse/v1/vault/snapshot",

  /** The audit log's key, derived from the vault's. */
  auditLog: "gatehouse/v1/audit/log",
  /** The hash that chains one audit record to the next. */
  auditRecord: "gatehouse/v1/audit/record",
  /** The hash that stands before a log's first record. */
  auditGenesis: "gatehouse/v1/audit/genesis",
  /** A group of records, sealed. */
  auditGroup: "gatehouse/v1/audit/group",
  /** The key under which file and group headers are authenticated; the two after it are what it authenticates. */
  auditHeaderKey: "gatehouse/v1/audit/header-key",
  auditSegmentHeader: "gatehouse/v1/audit/segment-header",
  auditGroupHeader: "gatehouse/v1/audit/group-header",
  auditCheckpoint: "gatehouse/v1/audit/checkpoint",
  auditArguments: "gatehouse/v1/audit/arguments",

  /** The hash of a tool call: what a yes is given to. */
  toolCall: "gatehouse/v1/tools/call",
  /** The requests that policies were asked lately, in their file. */
  policyRequests: "gatehouse/v1/policy/requests",

  /** CPace's channel identifier. */
  pairingChannel: "gatehouse/v1/pairing/channel",
  pairingSession: "gatehouse/v1/pairing/session",
  pairingConfirmation: "gatehouse/v1/pairing/confirmation",

  /** A session ticket in a client's home, sealed under … */
  ticket: "gatehouse/v1/client/ticket",
  /** … a key derived from its identity. */
  ticketKey: "gatehouse/v1/client/ticket-key",
  /** The hash that ties a client's session ticket to the gatehouse and the certificates it was got with. */
  ticketBinding: "gatehouse/v1/client/ticket-binding",

  /** Where UDP does not get through, under a hash that tells nobody which networks those are, … */
  wireMemory: "gatehouse/v1/client/wire-memory",
  /** … keyed by this, derived from the identity. */
  wireMemoryKey: "gatehouse/v1/client/wire-memory-key",
  /** A call that waits in a client's home, sealed under … */
  outboxCall: "gatehouse/v1/client/outbox-call",
  /** … or its answer, under … */
  outboxAnswer: "gatehouse/v1/client/outbox-answer",
  /** … a key derived from its identity. */
  outboxKey: "gatehouse/v1/client/outbox-key",

  /** A secret that a client keeps for when its gatehouse cannot be reached, sealed under … */
  cachedSecret: "gatehouse/v1/client/cached-secret",
  /** … a key derived from its identity. */
  cachedSecretKey: "gatehouse/v1/client/cached-secret-key",
  /** The key of the names of such files, which say nothing of the secrets' paths. */
  cachedSecretName: "gatehouse/v1/client/cached-secret-name",

  /** Gatehouse's identity key over the manifest of a backup. */
  backupManifest: "gatehouse/v1/backup/manifest",

  /** The boot record's integrity. */
  bootRecord: "gatehouse/v1/boot/record",
} as const;

export type Label = (typeof LABELS)[keyof typeof LABELS];
