/** Why connections and streams end, on the wire and in our words. */
import { type ErrorCode, GatehouseError } from "../core/index.ts";

/** Application close codes of CONNECTION_CLOSE (RFC 9000 §19.19, type 0x1d), with the error the other side gets. */
export const CLOSE_CODES = {
  done: { number: 0x00, error: "quic.closed", hint: undefined },
  "going-away": {
    number: 0x01,
    error: "rpc.draining",
    hint: "the gatehouse is shutting down; try again shortly",
  },
  internal: { number: 0x02, error: "quic.closed", hint: undefined },
  limit: { number: 0x03, error: "quic.limit", hint: "too many connections; close some or try again later" },
  "not-admitted": { number: 0x10, error: "quic.not-admitted", hint: "pair with this gatehouse first" },
  "device.unknown": { number: 0x11, error: "device.unknown", hint: "pair this device again" },
  "device.revoked": {
    number: 0x12,
    error: "device.revoked",
    hint: "revocation is final: pair anew from an empty home, with a new identity",
  },
  "device.key-changed": {
    number: 0x13,
    error: "device.key-changed",
    hint: "the gatehouse knows this device by another key",
  },
  "certificate.expired": {
    number: 0x14,
    error: "certificate.expired",
    hint: "ask the gatehouse's owner to readmit this device",
  },
  "certificate.untrusted": { number: 0x15, error: "certificate.untrusted", hint: "pair this device again" },
  "certificate.wrong-profile": {
    number: 0x16,
    error: "certificate.wrong-profile",
    hint: "pair this device again",
  },
  "certificate.malformed": { number: 0x17, error: "certificate.malformed", hint: "pair this device again" },
  "device.quarantined": {
    number: 0x18,
    error: "device.quarantined",
    hint: "ask the gatehouse's owner to look into it, and then: gatehouse device release DEVICE",
  },
  "device.held": {
    number: 0x19,
    error: "device.held",
    hint: "the gatehouse was restored from a copy: its owner lets devices in again with gatehouse device release DEVICE",
  },
  "vault.sealed": {
    number: 0x30,
    error: "vault.sealed",
    hint: "the gatehouse's vault is sealed: its owner opens it with gatehouse unseal",
  },
  "pairing.closed": {
    number: 0x20,
    error: "pairing.closed",
    hint: "open a pairing window on the gatehouse: gatehouse pair open",
  },
} as const satisfies Record<string, { number: number; error: ErrorCode; hint: string | undefined }>;

export type CloseCause = keyof typeof CLOSE_CODES;

export function isCloseCause(text: string): text is CloseCause {
  return Object.hasOwn(CLOSE_CODES, text);
}

/** Application codes of RESET_STREAM and STOP_SENDING. */
export const STREAM_CODES = { cancelled: 0, internal: 1, limit: 2 } as const;

/** What ended a connection, as the native library reports it. */
export interface WireError {
  readonly isApp: boolean;
  readonly errorCode: number;
  readonly reason: Uint8Array;
}

/** What a peer is told whose connection is closed for `cause`, on a wire that has no numbers for it. */
export function closeError(cause: CloseCause, reason: string): GatehouseError {
  const { error, hint } = CLOSE_CODES[cause];
  return new GatehouseError(error, reason, hint === undefined ? {} : { hint });
}

function errorFromPeer(error: WireError): GatehouseError {
  return error.isApp ? fromApplicationCode(error) : fromTransportCode(error.errorCode, "peer");
}

function errorFromHere(error: WireError): GatehouseError {
  return error.isApp
    ? new GatehouseError("quic.closed", "this side closed the connection")
    : fromTransportCode(error.errorCode, "here");
}

/** Why a native connection has ended. */
export function endReason(native: {
  peerError(): WireError | null;
  localError(): WireError | null;
}): GatehouseError {
  const fromPeer = native.peerError();
  if (fromPeer !== null) return errorFromPeer(fromPeer);
  const fromHere = native.localError();
  if (fromHere !== null) return errorFromHere(fromHere);
  return new GatehouseError("quic.timed-out", "the connection timed out", {
    hint: "check that the other side runs and that UDP gets through",
  });
}

function fromApplicationCode({ errorCode, reason }: WireError): GatehouseError {
  const row = Object.values(CLOSE_CODES).find(({ number }) => number === errorCode);
  const said = printable(reason);
  if (row === undefined)
    return new GatehouseError("quic.closed", `the peer closed the connection (code ${errorCode})`);
  const message = said === "" ? "the peer closed the connection" : said;
  return new GatehouseError(row.error, message, row.hint === undefined ? {} : { hint: row.hint });
}

/** TLS alerts are 0x100 + the alert's number (RFC 9001 §4.8). */
const ALERTS: Readonly<Record<number, string>> = {
  296: "handshake failure",
  298: "bad certificate",
  299: "unsupported certificate usage",
  300: "certificate revoked",
  301: "certificate expired or not yet valid",
  302: "certificate not acceptable",
  303: "illegal parameter",
  304: "unknown certificate authority",
  305: "access denied",
  307: "decrypt error",
  372: "certificate required",
  376: "protocol not offered",
};

const CERTIFICATE_EXPIRED = 0x12d;

function fromTransportCode(code: number, side: "peer" | "here"): GatehouseError {
  const alert = ALERTS[code];
  if (alert === undefined) {
    return new GatehouseError("quic.closed", `the connection failed (transport code 0x${code.toString(16)})`);
  }
  if (side === "here") {
    return new GatehouseError("quic.wrong-server", `the server's certificate was refused: ${alert}`, {
      hint:
        code === CERTIFICATE_EXPIRED
          ? "compare the clocks of both machines"
          : "this is not the gatehouse you paired with",
    });
  }
  if (code === CERTIFICATE_EXPIRED) {
    return new GatehouseError("certificate.expired", `the gatehouse refused this device: ${alert}`, {
      hint: "ask the gatehouse's owner to readmit this device, or compare the clocks of both machines",
    });
  }
  return new GatehouseError("quic.not-admitted", `the gatehouse refused this device: ${alert}`, {
    hint: "pair this device first: gatehouse pair join HOST:PORT",
  });
}

/** A peer's words, bounded and without control characters: they end in a terminal. */
function printable(reason: Uint8Array): string {
  return Buffer.from(reason.subarray(0, 256))
    .toString("utf8")
    .replace(/[^\x20-\x7e]/g, "");
}
