import { equalBytes, GatehouseError, LIMITS } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";
import { CPACE_SHARE_BYTES, CPACE_TAG_BYTES } from "./cpace.ts";

/**
 * The messages of `gatehouse-pair/1` as checked values; schemas/gatehouse/v1/pairing.proto has their fields.
 * Decoding accepts one spelling of each value only, so that a changed bit changes what is agreed on, or is refused.
 */

const { v1 } = gatehouse;

export const PAIRING_VERSION = 1;
export const NONCE_BYTES = 32;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const SEAL_TAG_BYTES = 64;
const LABEL_BYTES_MAX = 64;
const REFUSAL_BYTES_MAX = 1_024;

/** What the joiner was given: six digits, or the 128-bit secret of a URI. */
export type PairingMode = "code" | "uri";

export interface Hello {
  readonly kind: "hello";
  readonly version: number;
  readonly mode: PairingMode;
  /** 32 bytes. */
  readonly nonce: Uint8Array;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly identityKey: Uint8Array;
}

export interface Share {
  readonly kind: "share";
  readonly element: Uint8Array;
}

export interface Confirm {
  readonly kind: "confirm";
  readonly tag: Uint8Array;
  readonly signature: Uint8Array;
}

export interface Sealed {
  readonly kind: "sealed";
  readonly body: Uint8Array;
  readonly tag: Uint8Array;
}

export interface Refusal {
  readonly kind: "refusal";
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly retryAfterMs: number;
}

export type PairMessage = Hello | Share | Confirm | Sealed | Refusal;

export interface Request {
  readonly kind: "request";
  /** PKCS#10, DER. */
  readonly certificateRequest: Uint8Array;
  readonly name: string;
  readonly deviceKind: string;
  readonly platform: string;
  /** The device wants the place of the one that has its name. */
  readonly replace: boolean;
}

export interface Pending {
  readonly kind: "pending";
  /** Somebody is asked for so long at most. */
  readonly timeoutMs: number;
}

export interface GrantBody {
  readonly kind: "grant";
  /** DER. */
  readonly certificate: Uint8Array;
  /** DER, newest generation first. */
  readonly caCertificates: readonly Uint8Array[];
  readonly deviceId: string;
  readonly deviceName: string;
  readonly role: string;
  readonly gatehouseName: string;
}

export type PairBody = Request | Pending | GrantBody | { readonly kind: "done" };

export function encodePairMessage(message: PairMessage): Uint8Array {
  const { kind, ...fields } = message;
  return v1.PairMessage.encode({ [kind]: fields }).finish();
}

/** Slices are the caller's. @throws GatehouseError `pairing.bad-message`. */
export function decodePairMessage(bytes: Uint8Array): PairMessage {
  return decode(bytes, encodePairMessage, () => readMessage(v1.PairMessage.decode(bytes)));
}

export function encodePairBody(body: PairBody): Uint8Array {
  switch (body.kind) {
    case "request":
      return v1.PairBody.encode({ request: { ...body, kind: body.deviceKind } }).finish();
    case "grant": {
      const { kind, caCertificates, ...fields } = body;
      return v1.PairBody.encode({ [kind]: { ...fields, caCertificates: [...caCertificates] } }).finish();
    }
    case "pending":
      return v1.PairBody.encode({ pending: { timeoutMs: body.timeoutMs } }).finish();
    case "done":
      return v1.PairBody.encode({ done: {} }).finish();
  }
}

/** @throws GatehouseError `pairing.bad-message`. */
export function decodePairBody(bytes: Uint8Array): PairBody {
  return decode(bytes, encodePairBody, () => readBody(v1.PairBody.decode(bytes)));
}

export function badMessage(what: string, cause?: unknown): GatehouseError<"pairing.bad-message"> {
  return new GatehouseError("pairing.bad-message", `the other side sent a bad pairing message: ${what}`, {
    cause,
  });
}

function decode<Value>(
  bytes: Uint8Array,
  encode: (value: Value) => Uint8Array,
  read: () => Value | undefined,
): Value {
  let value: Value | undefined;
  try {
    value = read();
  } catch (cause) {
    throw badMessage("not the expected fields", cause);
  }
  if (value === undefined) throw badMessage("unknown kind");
  if (!equalBytes(encode(value), bytes)) throw badMessage("not in canonical form");
  return value;
}

function readMessage(message: gatehouse.v1.PairMessage): PairMessage | undefined {
  const { hello, share, confirm, sealed, refusal } = message;
  if (hello) {
    return {
      kind: "hello",
      version: hello.version ?? 0,
      mode: readMode(hello.mode),
      nonce: exactly(hello.nonce, NONCE_BYTES),
      identityKey: exactly(hello.identityKey, KEY_BYTES),
    };
  }
  if (share) return { kind: "share", element: exactly(share.element, CPACE_SHARE_BYTES) };
  if (confirm) {
    return {
      kind: "confirm",
      tag: exactly(confirm.tag, CPACE_TAG_BYTES),
      signature: exactly(confirm.signature, SIGNATURE_BYTES),
    };
  }
  if (sealed) {
    const body = atMost(sealed.body, LIMITS.pairingMessageBytes);
    return { kind: "sealed", body, tag: exactly(sealed.tag, SEAL_TAG_BYTES) };
  }
  return refusal ? readRefusal(refusal) : undefined;
}

function readRefusal(refusal: gatehouse.v1.PairRefusal.$Properties): Refusal {
  return {
    kind: "refusal",
    code: printable(refusal.code, LABEL_BYTES_MAX),
    message: printable(refusal.message, REFUSAL_BYTES_MAX),
    hint: printable(refusal.hint, REFUSAL_BYTES_MAX),
    retryAfterMs: refusal.retryAfterMs ?? 0,
  };
}

function readBody(body: gatehouse.v1.PairBody): PairBody | undefined {
  if (body.request) {
    return {
      kind: "request",
      certificateRequest: atMost(body.request.certificateRequest, LIMITS.certificateRequestBytes),
      name: named(body.request.name),
      deviceKind: printable(body.request.kind, LABEL_BYTES_MAX),
      platform: printable(body.request.platform, LABEL_BYTES_MAX),
      replace: body.request.replace ?? false,
    };
  }
  if (body.pending) return { kind: "pending", timeoutMs: body.pending.timeoutMs ?? 0 };
  if (body.grant) return readGrant(body.grant);
  return body.done ? { kind: "done" } : undefined;
}

function readGrant(grant: gatehouse.v1.PairGrant.$Properties): GrantBody {
  const caCertificates = (grant.caCertificates ?? []).map((der) => atMost(der, LIMITS.certificateBytes));
  if (caCertificates.length === 0 || caCertificates.length > LIMITS.pairingCaCertificates) {
    throw new RangeError(`${caCertificates.length} CA certificates`);
  }
  return {
    kind: "grant",
    certificate: atMost(grant.certificate, LIMITS.certificateBytes),
    caCertificates,
    deviceId: printable(grant.deviceId, LABEL_BYTES_MAX),
    deviceName: named(grant.deviceName),
    role: named(grant.role),
    gatehouseName: named(grant.gatehouseName),
  };
}

function readMode(mode: string | null | undefined): PairingMode {
  if (mode === "code" || mode === "uri") return mode;
  throw new RangeError("unknown mode");
}

function exactly(bytes: Uint8Array | null | undefined, length: number): Uint8Array {
  if (bytes?.length !== length) throw new RangeError(`${bytes?.length ?? 0} bytes, not ${length}`);
  return new Uint8Array(bytes);
}

function atMost(bytes: Uint8Array | null | undefined, length: number): Uint8Array {
  if (!bytes || bytes.length === 0 || bytes.length > length) throw new RangeError(`not 1 to ${length} bytes`);
  return new Uint8Array(bytes);
}

/** Shown on terminals: no control, format or private characters. */
function printable(text: string | null | undefined, bytesMax: number): string {
  const value = text ?? "";
  if (Buffer.byteLength(value) > bytesMax || /\p{C}|\p{Zl}|\p{Zp}/u.test(value)) {
    throw new RangeError("text too long, or not printable");
  }
  return value;
}

function named(text: string | null | undefined): string {
  const value = printable(text, LIMITS.deviceNameBytes);
  if (value === "" || value.trim() !== value) throw new RangeError("empty or padded name");
  return value;
}
