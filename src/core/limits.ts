/** Every bound that keeps a peer or a file from growing something, with its reason. Sizes in bytes, times in ms. */
export const LIMITS = {
  /** A secret's value: large enough for key files and kubeconfigs, small enough to hold a few hundred in memory. */
  secretValueBytes: 1_048_576,
  /** One path segment; a DNS label twice over. */
  secretPathSegmentBytes: 128,
  secretPathBytes: 512,
  secretContentTypeBytes: 128,
  /** All secrets' records together, their names included: sql.js keeps them in memory. */
  vaultBytes: 1_073_741_824,
  /** The engine's pages: WebAssembly ends at two gigabytes, and what is small must find room after secrets have none. */
  vaultImageBytes: 1_610_612_736,
  /** One journal write: a few of the largest secrets, so that many waiting ones do not need one huge buffer. */
  vaultGroupBytes: 8_388_608,
  /** Mutations waiting for the journal; past that a caller is told to come back. */
  vaultPendingMutations: 8_192,
  /** Journal written since the last snapshot before the next one: about half a second of replay. */
  vaultJournalBytes: 33_554_432,
  vaultJournalTransactions: 50_000,
  /** Unwrapped data keys with the sealed values they open, for repeated reads. */
  vaultCachedKeys: 4_096,
  vaultCachedBytes: 16_777_216,
  vaultSettingBytes: 65_536,
  /** Secrets in one command's environment, and one of them as `NAME=value`: what Linux takes of one string. */
  environmentSecrets: 256,
  environmentEntryBytes: 131_071,
  /** A file that is imported, and the values in it: held in memory at once. */
  importFileBytes: 16_777_216,
  importValues: 10_000,
  /** Versions kept for each path; the oldest go first. */
  secretVersionsKept: 32,
  /** A lifetime below a second would end before it was heard of; ten years is longer than any key should be good for. */
  secretTtlMinMs: 1_000,
  secretTtlMaxMs: 3_650 * 86_400_000,
  /** Labels of one path, in its record that every list reads. */
  secretLabels: 32,
  secretLabelKeyBytes: 64,
  secretLabelValueBytes: 128,
  /** Expired versions destroyed in one transaction: a millisecond or two of the loop. */
  secretsSweptAtOnce: 256,

  /** Wrong keys that may be tried in a row on a sealed vault; after them one for each pause. */
  unsealAttempts: 5,
  unsealPauseMs: 30_000,
  /** From a last answer to the end of its connection: several round trips of a slow link. */
  sealLingerMs: 300,

  /** One protobuf message: the largest secret and its envelope. */
  messageBytes: 1_048_576 + 16_384,
  /** One frame: a message and the frame's own fields. */
  frameBytes: 1_048_576 + 65_536,
  methodNameBytes: 128,
  /** Echoed by a ping: enough to time a transfer, too little to move bulk past the audit. */
  pingPayloadBytes: 65_536,
  /** Calls in flight on one connection; further streams wait for credit. */
  callsPerConnection: 256,
  /** Calls in flight of one device over all its connections. */
  callsPerDevice: 1_024,
  /** Half-come requests and unread answers of one connection: sixty of the largest. Small ones are not counted. */
  heldBytesPerConnection: 67_108_864,
  /** The same of all connections: one device with all its connections must not fill the machine's memory. */
  heldBytes: 536_870_912,
  callTimeoutMs: 30_000,
  callTimeoutMaxMs: 600_000,
  /** A stream that has sent nothing for so long while we wait for its request is reset. */
  streamStallMs: 10_000,

  /**
   * How long a request id seen in early data is remembered: twice the time, about a minute, for which TLS takes a
   * replayed first flight as fresh (RFC 8446 §8.3), and some.
   */
  strikeMs: 130_000,
  /** Request ids remembered for one device and in all (some 80 bytes each); past that early data is put off. */
  strikesPerDevice: 4_096,
  strikes: 131_072,
  /** The wall clock may step back by so much before early data is put off until it has caught up. */
  strikeClockStepMs: 30_000,

  /** Bytes of one stream that the peer may send ahead of our reading. */
  streamWindowBytes: 262_144,
  /** Bytes queued on one stream for a slow reader before `write` answers false. */
  streamWriteHighWaterBytes: 262_144,
  /** The same on all streams of a connection together: what a peer that reads nothing may leave lying for free. */
  connectionWriteHighWaterBytes: 4_194_304,
  connections: 4_096,
  connectionsPerDevice: 32,
  handshakesPerSource: 64,
  handshakes: 1_024,
  /** Unfinished handshakes from which on newcomers prove their address first: a spoofer fills no table after that. */
  handshakesBeforeRetry: 128,
  /** Sources whose handshakes failed, and for how long each of them has to prove its address. */
  failedSources: 4_096,
  failureMs: 10_000,
  /** Failures of one proven source in that time; each costs us a signature, half a millisecond. */
  failuresPerSource: 256,
  handshakeMs: 10_000,
  idleMs: 30_000,
  keepAliveMs: 15_000,
  /** Packets held for one connection until its peer is admitted. */
  heldPackets: 16,
  drainMs: 5_000,
  /** On its way to all connections of one device: a gigabit over a quarter of a second. */
  flightBytesPerDevice: 33_554_432,
  /** What a connection is used for before its client is asked to open another; at twice as much it ends. */
  connectionPackets: 2 ** 28,
  connectionAgeMs: 21_600_000,
  /** Addresses that the peer came from: the library keeps 24 KiB for each, 64 of them at most. */
  connectionPaths: 32,
  /** Bytes received that were neither stream data nor what belongs to packets: some of them the library keeps. */
  connectionOddBytes: 2_097_152,

  /** Headers of one gRPC call, names and values: its method, its authority, and what others put beside. */
  grpcHeaderBytes: 16_384,
  grpcHeaderPairs: 64,
  /** Mebibytes that Node may hold for one HTTP/2 session, past which it refuses calls: twice the windows of all. */
  grpcSessionMemoryMiB: 128,
  /** Between pings on a gRPC connection, and how long an answer may take: TCP alone notices a lost peer after hours. */
  grpcPingMs: 30_000,
  grpcPingTimeoutMs: 10_000,
  /** A gRPC connection that has carried no call for so long is ended: its client opens another when it has one. */
  grpcIdleMs: 300_000,
  /** From telling a client that its connection ends to ending it; a revoked one is out within a second. */
  grpcLingerMs: 250,
  /** What one trailer may say: clients take 8 KiB of them all. */
  grpcTrailerBytes: 2_048,

  pairingTtlMs: 120_000,
  pairingTtlMaxMs: 600_000,
  /** Burnt codes before code pairing pauses, and for how long. */
  burntCodes: 5,
  burntCodesPauseMs: 900_000,
  /** The whole exchange on one pairing connection. */
  pairingExchangeMs: 15_000,
  pairingMessageBytes: 16_384,
  /** From the joiner's hello to its proof of the code: a silent stranger holds the only slot no longer. */
  pairingProofMs: 5_000,
  /** Exchanges on one code that ended before a proof: they teach nothing, but nobody honest needs more. */
  pairingUnprovenAttempts: 16,
  /** Exchanges by URI at once; the oldest unproven one gives way. */
  pairingUriAttempts: 32,
  /** After a grant, its joiner may fetch it again over a new connection. */
  pairingRejoinMs: 30_000,
  /** Certificates in a grant: the current CA generation and those it overlaps with. */
  pairingCaCertificates: 4,
  /** How long a proven joiner's question waits for somebody's yes. */
  pairingApprovalMs: 120_000,
  /** Joiners by URI that wait for a yes at once: more would be noise to whoever is asked. */
  pairingQuestions: 4,
  /** Windows that have paired and wait, at most `pairingRejoinMs`, for their joiners to fetch the grant again. */
  pairingWindowsAside: 4,
  deviceNameBytes: 64,
  devices: 10_000,
  rolesPerDevice: 16,
  users: 1_000,
  userNameBytes: 64,
  /** A policy source, or an approval with its arguments. */
  shelfRecordBytes: 131_072,

  /** Leaves of one authority whose signature need not be checked again. */
  verifiedSignatures: 1_024,
  certificateLifetimeMs: 30 * 86_400_000,
  /** After a rotation both authorities are good: as long as the last leaf of the old one may be, and so much longer. */
  caOverlapSlackMs: 86_400_000,
  /** Old authorities are kept for devices that are readmitted; the oldest go first. */
  caGenerations: 8,
  /** `device readmit` without a time of its own, and at most. */
  readmissionMs: 86_400_000,
  readmissionMaxMs: 7 * 86_400_000,
  certificateBackdateMs: 300_000,
  certificateBytes: 4_096,
  certificateRequestBytes: 4_096,

  /** Remembered replies of a device's mutations, and how long. */
  rememberedReplies: 1_000,
  rememberedRepliesMs: 86_400_000,

  decisionMemoEntries: 10_000,
  policyBytes: 262_144,
  policySourceBytes: 65_536,
  /** One policy: checking it cannot be interrupted, and takes up to a second for so much. */
  policyTextBytes: 16_384,
  /** Sets that can be gone back to. */
  policySetsKept: 100,

  auditRecordBytes: 65_536,
  /** Records sealed and written together: large enough to share the cost, small enough not to hold up the loop. */
  auditGroupBytes: 1_048_576,
  /** One audit file; read whole at start. */
  auditSegmentBytes: 4_194_304,
  /** Records waiting to be written; past it calls are turned away instead of piling up behind a slow disk. */
  auditPendingBytes: 16_777_216,
  /** The main thread shows that it is alive so often: rare enough to cost nothing. */
  watchdogBeatMs: 1_000,
  /**
   * Without a beat for so long the process is ended: many times the longest pause that is meant to happen, and short
   * enough to have the door back within 15 s.
   */
  watchdogSilenceMs: 10_000,
  /** Once may be bad luck. */
  freezesBeforeQuarantine: 2,
  /** Notes of freezes that are kept, the newest: a year of one a day. */
  freezeNotes: 365,
  freezeNotesBytes: 65_536,
  /** Between an unexpected end of the daemon and its next start; doubles each time, back to the least after health. */
  restartDelayMs: 500,
  restartDelayMaxMs: 30_000,
  restartHealthyMs: 60_000,
  /** From telling the daemon to stop to ending it: the drain, and one freeze found out meanwhile. */
  superviseStopMs: 20_000,

  /** Tools of one configuration: more than anybody declares by hand, few enough to list in one answer. */
  tools: 256,
  /** In characters, as the other lengths here. */
  toolNameLength: 64,
  toolDescriptionLength: 1_024,
  toolGroups: 16,
  toolCommandElements: 64,
  /** One element of a command, and the parts that parameters cut it into. */
  toolCommandElementLength: 4_096,
  toolCommandParts: 32,
  toolParameters: 32,
  toolChoices: 64,
  toolPatternLength: 512,
  /** Characters of one argument, and at most: an approver has to read them. */
  toolArgumentLength: 256,
  toolArgumentLengthMax: 4_096,
  /** All arguments of a call: with them an approval still fits its record. */
  toolArgumentsBytes: 65_536,
  /** Steps of the machine that a pattern becomes; a step a character is what a match takes at worst: 0.1 s in all. */
  toolPatternSteps: 512,
  toolEnvironment: 64,
  toolEnvironmentValueLength: 32_768,
  toolSecrets: 16,
  /** A shorter secret is found in any text, and hiding it would tell it. */
  toolSecretBytesMin: 4,
  toolSecretBytesMax: 65_536,
  /** All secrets of a call: hiding them takes some 600 bytes for each of these while it runs. */
  toolSecretsBytes: 131_072,
  /** Paths that a sandbox shows, and the length of one. */
  toolSandboxPaths: 64,
  toolPathLength: 4_096,
  toolTimeoutMs: 60_000,
  toolTimeoutMsMax: 600_000,
  toolOutputBytes: 1_048_576,
  toolOutputBytesMax: 67_108_864,
  /** One event of output: a pipe's worth. */
  toolChunkBytes: 65_536,
  toolConcurrency: 1,
  toolConcurrencyMax: 32,
  /** What a caller is told to wait when a tool runs as often as it may. */
  toolBusyRetryMs: 1_000,
  /** From SIGTERM to SIGKILL. */
  toolKillGraceMs: 2_000,
  /** Looks for what a tool left behind, 5 ms apart: what has not died by then cannot be killed. */
  toolReapRounds: 200,
  /** Processes looked at before others get their turn: half a millisecond or so. */
  toolScanBatch: 32,
  /** How long we wait, all in all, for output that somebody else still holds open after the end. */
  toolLingerMs: 1_000,
  /** Questions that wait for an answer. */
  approvalsOpenPerDevice: 16,
  approvalsOpen: 256,
  /** Each is a document of up to 256 KiB in memory. */
  approvalWatchesPerDevice: 4,
  /** Those that are over. */
  approvalsKept: 500,
  approvalsKeptMs: 30 * 86_400_000,
  /** How long a question waits for its yes, and at most: whoever asked has forgotten why after an hour. */
  toolApprovalMs: 600_000,
  toolApprovalMsMax: 3_600_000,
  /** A yes is good for one call that comes soon. */
  toolApprovalUseMs: 300_000,
  toolApprovalReasonLength: 256,
  /** What an approver's app is shown at once. */
  toolDocumentApprovals: 64,
  toolDocumentBytes: 262_144,
  toolDocumentDepth: 32,
  toolPatchOperations: 1_000,
  toolPointerLength: 1_024,

  /** Session tickets a client keeps for one gatehouse: as many commands may come back quickly at once. */
  ticketsPerGatehouse: 4,
  /** TLS gives a ticket at most seven days (RFC 8446 §4.6.1); the gatehouse's are good for two. */
  ticketMs: 2 * 86_400_000,
  /** A ticket holds both sides' certificates and the keys. */
  ticketBytes: 32_768,
  /** What a client waits at its end for tickets to be written: they are worth a round trip, not more. */
  ticketSettleMs: 100,
  /** How long UDP gets before TCP is tried beside it: RFC 8305 gives an address as much. */
  tcpAfterMs: 250,
  /** From going over to TCP to asking whether UDP gets through again; doubles each time, to the longest pause. */
  udpProbeMs: 5_000,
  udpProbeMaxMs: 60_000,
  /** Networks on which UDP failed that a home remembers, and for how long: then TCP is tried at once, UDP beside it. */
  udpFailures: 64,
  udpFailureMs: 86_400_000,
  /** How long a client's calls wait for a lost gatehouse to come back before they say that it is gone. */
  reconnectMs: 10_000,
  /** Between attempts to reach it: from the first to the longest pause, before jitter. */
  reconnectPauseMs: 50,
  reconnectPauseMaxMs: 2_000,
  /** How often one call waits as long as the gatehouse said: after that its caller may know better what to do. */
  retryAfterTimes: 3,
  /** What a client has left for a fresh connection is closed when its calls have ended, or after so long. */
  retireMs: 60_000,
  /** Calls that wait for a gatehouse in a home: far fewer than the replies it remembers of a device, so that what is asked of
   * it meanwhile does not push theirs out. */
  outboxCalls: 256,
  /** Their files together, for each gatehouse: sixteen of the largest calls. */
  outboxBytes: 16_777_216,
  /** An answer that is kept for another process: those of changes have a few hundred bytes. */
  outboxAnswerBytes: 65_536,
  /** Damaged files kept for whoever wants to look at them; the oldest go. */
  outboxSetAside: 16,
  /** For so long after it was first sent a call may be sent again: the gatehouse's day, less an hour for clocks that differ. */
  outboxSentMs: 86_400_000 - 3_600_000,
  /** Between attempts to send what waits, before jitter: a gatehouse that is back is noticed soon, at little expense. */
  outboxPauseMaxMs: 10_000,
  /** As long as a gatehouse may put off what waits. */
  outboxRetryAfterMaxMs: 300_000,
  /** How often a process looks whether another one, which sends for both, has an answer for it. */
  outboxPollMs: 250,
  /** Secrets that a home keeps for when their gatehouses cannot be reached: what one device needs to go on, not a vault. */
  cachedSecrets: 64,
  /** Their files together. */
  cachedSecretsBytes: 1_048_576,
  /** The oldest copy that may be asked for: as old as a certificate gets. */
  cachedSecretStaleMs: 30 * 86_400_000,
  /** A clock that was set back by more is not believed. */
  clockStepMs: 300_000,
  /** A key file, certificate or remotes list read whole into memory. */
  smallFileBytes: 1_048_576,
  remotes: 256,
} as const;
