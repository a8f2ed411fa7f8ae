/** gRPC status names with their numbers (grpc/doc/statuscodes.md). */
export const STATUS = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  "invalid-argument": 3,
  "deadline-exceeded": 4,
  "not-found": 5,
  "already-exists": 6,
  "permission-denied": 7,
  "resource-exhausted": 8,
  "failed-precondition": 9,
  aborted: 10,
  "out-of-range": 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  "data-loss": 15,
  unauthenticated: 16,
} as const;

export type Status = keyof typeof STATUS;

/** Process exit codes of the command line. */
export const EXIT = {
  done: 0,
  unexpected: 1,
  usage: 2,
  notFound: 3,
  denied: 4,
  notPaired: 5,
  unreachable: 6,
  conflict: 7,
  sealed: 8,
  integrity: 9,
  approval: 10,
  rateLimited: 11,
  outcomeUnknown: 12,
  /** As shells and `env` say that they could not start a command. */
  notStartable: 126,
  noCommand: 127,
} as const;

interface Row {
  readonly status: Exclude<Status, "ok">;
  readonly exit: (typeof EXIT)[keyof typeof EXIT];
  /** Whether the same call may succeed later without anybody changing anything. */
  readonly retryable?: true;
}

/** Every error code there is, with the status a peer sees and the exit code a script sees. */
export const ERROR_CODES = {
  "usage.bad-argument": { status: "invalid-argument", exit: EXIT.usage },
  "usage.unknown-command": { status: "invalid-argument", exit: EXIT.usage },

  "command.not-found": { status: "not-found", exit: EXIT.noCommand },
  "command.not-startable": { status: "failed-precondition", exit: EXIT.notStartable },

  "config.invalid": { status: "invalid-argument", exit: EXIT.usage },

  "home.not-initialized": { status: "failed-precondition", exit: EXIT.notFound },
  "home.already-initialized": { status: "already-exists", exit: EXIT.conflict },
  "home.in-use": { status: "unavailable", exit: EXIT.conflict },
  "home.bad-permissions": { status: "failed-precondition", exit: EXIT.conflict },

  "file.not-found": { status: "not-found", exit: EXIT.notFound },
  "file.exists": { status: "already-exists", exit: EXIT.conflict },
  "file.too-large": { status: "data-loss", exit: EXIT.integrity },
  "file.damaged": { status: "data-loss", exit: EXIT.integrity },
  "file.io": { status: "unavailable", exit: EXIT.unexpected },

  "backup.other-gatehouse": { status: "failed-precondition", exit: EXIT.integrity },
  "backup.damaged": { status: "data-loss", exit: EXIT.integrity },
  "backup.running": { status: "failed-precondition", exit: EXIT.conflict, retryable: true },
  "backup.unknown-format": { status: "failed-precondition", exit: EXIT.integrity },
  "backup.wrong-key": { status: "unavailable", exit: EXIT.sealed },
  "boot.damaged": { status: "data-loss", exit: EXIT.integrity },

  "identity.bad-device-id": { status: "invalid-argument", exit: EXIT.usage },
  "identity.damaged": { status: "data-loss", exit: EXIT.integrity },

  "certificate.malformed": { status: "unauthenticated", exit: EXIT.notPaired },
  "certificate.untrusted": { status: "unauthenticated", exit: EXIT.notPaired },
  "certificate.expired": { status: "unauthenticated", exit: EXIT.notPaired },
  "certificate.wrong-profile": { status: "unauthenticated", exit: EXIT.notPaired },
  "certificate.bad-request": { status: "invalid-argument", exit: EXIT.usage },

  "ca.damaged": { status: "data-loss", exit: EXIT.integrity },
  "ca.rotating": { status: "failed-precondition", exit: EXIT.conflict },

  "key.missing": { status: "unavailable", exit: EXIT.sealed },
  "key.wrong": { status: "unavailable", exit: EXIT.sealed },
  "key.unsupported": { status: "unimplemented", exit: EXIT.usage },

  "device.not-found": { status: "not-found", exit: EXIT.notFound },
  "device.ambiguous": { status: "invalid-argument", exit: EXIT.usage },
  "device.unknown": { status: "unauthenticated", exit: EXIT.notPaired },
  "device.revoked": { status: "unauthenticated", exit: EXIT.notPaired },
  "device.quarantined": { status: "unauthenticated", exit: EXIT.notPaired },
  "device.held": { status: "unauthenticated", exit: EXIT.notPaired },
  "device.renewal-only": { status: "unauthenticated", exit: EXIT.notPaired },
  "device.key-changed": { status: "unauthenticated", exit: EXIT.notPaired },
  "device.name-taken": { status: "already-exists", exit: EXIT.conflict },
  "device.last-owner": { status: "failed-precondition", exit: EXIT.conflict },

  "pairing.bad-code": { status: "invalid-argument", exit: EXIT.usage },
  "pairing.bad-uri": { status: "invalid-argument", exit: EXIT.usage },
  "pairing.bad-message": { status: "invalid-argument", exit: EXIT.notPaired },
  "pairing.wrong-code": { status: "unauthenticated", exit: EXIT.notPaired },
  "pairing.code-burnt": { status: "unauthenticated", exit: EXIT.notPaired },
  "pairing.closed": { status: "unauthenticated", exit: EXIT.notPaired },
  "pairing.busy": { status: "unavailable", exit: EXIT.rateLimited, retryable: true },
  "pairing.expired": { status: "deadline-exceeded", exit: EXIT.unreachable },
  "pairing.window-open": { status: "already-exists", exit: EXIT.conflict },
  "pairing.paused": { status: "resource-exhausted", exit: EXIT.rateLimited, retryable: true },
  "pairing.denied": { status: "permission-denied", exit: EXIT.approval },
  "pairing.not-waiting": { status: "not-found", exit: EXIT.notFound },
  "pairing.wrong-gatehouse": { status: "unauthenticated", exit: EXIT.notPaired },

  "remote.not-found": { status: "not-found", exit: EXIT.notFound },
  "remote.ambiguous": { status: "invalid-argument", exit: EXIT.usage },
  "remote.name-taken": { status: "already-exists", exit: EXIT.conflict },
  "remote.none": { status: "unauthenticated", exit: EXIT.notPaired },
  "remote.key-changed": { status: "unauthenticated", exit: EXIT.notPaired },

  "client.outbox-full": { status: "resource-exhausted", exit: EXIT.conflict, retryable: true },

  "quic.unreachable": { status: "unavailable", exit: EXIT.unreachable, retryable: true },
  "quic.timed-out": { status: "unavailable", exit: EXIT.unreachable, retryable: true },
  "quic.closed": { status: "unavailable", exit: EXIT.unreachable, retryable: true },
  "quic.not-admitted": { status: "unauthenticated", exit: EXIT.notPaired },
  "quic.wrong-server": { status: "unauthenticated", exit: EXIT.notPaired },
  "quic.address-in-use": { status: "unavailable", exit: EXIT.conflict },
  "quic.bad-address": { status: "invalid-argument", exit: EXIT.usage },
  "quic.unsupported-platform": { status: "unimplemented", exit: EXIT.unexpected },
  "quic.limit": { status: "resource-exhausted", exit: EXIT.rateLimited, retryable: true },

  "rpc.cancelled": { status: "cancelled", exit: EXIT.unexpected },
  "rpc.deadline": { status: "deadline-exceeded", exit: EXIT.unreachable, retryable: true },
  "rpc.unknown-method": { status: "unimplemented", exit: EXIT.usage },
  "rpc.unknown-service": { status: "not-found", exit: EXIT.usage },
  "rpc.unsupported-encoding": { status: "unimplemented", exit: EXIT.usage },
  "rpc.bad-frame": { status: "invalid-argument", exit: EXIT.usage },
  "rpc.bad-message": { status: "invalid-argument", exit: EXIT.usage },
  "rpc.too-large": { status: "resource-exhausted", exit: EXIT.usage },
  "rpc.too-early": { status: "unavailable", exit: EXIT.unreachable, retryable: true },
  "rpc.overloaded": { status: "resource-exhausted", exit: EXIT.rateLimited, retryable: true },
  "rpc.rate-limited": { status: "resource-exhausted", exit: EXIT.rateLimited, retryable: true },
  "rpc.draining": { status: "unavailable", exit: EXIT.unreachable, retryable: true },
  "rpc.outcome-unknown": { status: "aborted", exit: EXIT.outcomeUnknown },
  "rpc.request-mismatch": { status: "failed-precondition", exit: EXIT.conflict },
  "rpc.internal": { status: "internal", exit: EXIT.unexpected },
  "rpc.unknown-error": { status: "unknown", exit: EXIT.unexpected },

  "vault.bad-path": { status: "invalid-argument", exit: EXIT.usage },
  "vault.too-large": { status: "invalid-argument", exit: EXIT.usage },
  "vault.not-found": { status: "not-found", exit: EXIT.notFound },
  "vault.version-not-found": { status: "not-found", exit: EXIT.notFound },
  "vault.not-removed": { status: "failed-precondition", exit: EXIT.conflict },
  "vault.version-conflict": { status: "failed-precondition", exit: EXIT.conflict },
  "vault.full": { status: "resource-exhausted", exit: EXIT.conflict },
  "vault.checkpoint-failed": { status: "unavailable", exit: EXIT.conflict, retryable: true },
  "vault.not-erased": { status: "unavailable", exit: EXIT.conflict, retryable: true },
  "vault.read-only": { status: "unavailable", exit: EXIT.conflict },
  "vault.sealed": { status: "unavailable", exit: EXIT.sealed },
  "vault.unseal-limited": { status: "resource-exhausted", exit: EXIT.rateLimited, retryable: true },
  "vault.wrong-key": { status: "unavailable", exit: EXIT.sealed },
  "vault.key-missing": { status: "unavailable", exit: EXIT.sealed },
  "vault.key-slots": { status: "failed-precondition", exit: EXIT.conflict },
  "vault.rotating": { status: "failed-precondition", exit: EXIT.conflict },
  "vault.damaged": { status: "data-loss", exit: EXIT.integrity },
  "vault.unknown-format": { status: "data-loss", exit: EXIT.integrity },

  "authz.denied": { status: "permission-denied", exit: EXIT.denied },
  "authz.invalid-policy": { status: "invalid-argument", exit: EXIT.usage },

  "policy.not-found": { status: "not-found", exit: EXIT.notFound },
  "policy.lockout": { status: "failed-precondition", exit: EXIT.conflict },
  "policy.version-conflict": { status: "failed-precondition", exit: EXIT.conflict },
  "user.not-found": { status: "not-found", exit: EXIT.notFound },
  "user.exists": { status: "already-exists", exit: EXIT.conflict },

  "tool.not-found": { status: "not-found", exit: EXIT.notFound },
  "tool.bad-argument": { status: "invalid-argument", exit: EXIT.usage },
  "tool.not-startable": { status: "failed-precondition", exit: EXIT.unexpected },
  /** It would run as the daemon's own user. */
  "tool.unsafe": { status: "failed-precondition", exit: EXIT.conflict },
  "tool.busy": { status: "resource-exhausted", exit: EXIT.rateLimited, retryable: true },
  "tool.secret-unfit": { status: "failed-precondition", exit: EXIT.conflict },

  "approval.not-found": { status: "not-found", exit: EXIT.notFound },
  "approval.required": { status: "failed-precondition", exit: EXIT.approval },
  "approval.denied": { status: "permission-denied", exit: EXIT.approval },
  "approval.expired": { status: "failed-precondition", exit: EXIT.approval },
  "approval.used": { status: "failed-precondition", exit: EXIT.conflict },
  "approval.mismatch": { status: "failed-precondition", exit: EXIT.conflict },
  "approval.stale": { status: "failed-precondition", exit: EXIT.conflict },
  "approval.self": { status: "permission-denied", exit: EXIT.denied },
  "approval.decided": { status: "failed-precondition", exit: EXIT.conflict },
  "approval.too-many": { status: "resource-exhausted", exit: EXIT.rateLimited, retryable: true },

  "audit.unavailable": { status: "unavailable", exit: EXIT.conflict },
  "audit.damaged": { status: "data-loss", exit: EXIT.integrity },
} as const satisfies Record<string, Row>;

export type ErrorCode = keyof typeof ERROR_CODES;
