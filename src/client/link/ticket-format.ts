/**
 * One session ticket in a file. Whoever could write one could play the gatehouse, so it is sealed under a key that comes
 * from the identity: where that is sealed, tickets are as good as sealed with it.
 *
 * | bytes | what                                                                         |
 * | ----- | ---------------------------------------------------------------------------- |
 * | 4     | `GHT`, version 2                                                             |
 * | 32    | binding: what the ticket was got with, see `bindingOf`                       |
 * | n     | sealed by `sealOnce`, bound to the bytes before it                           |
 *
 * Sealed:
 *
 * | bytes | what                                                                         |
 * | ----- | ---------------------------------------------------------------------------- |
 * | 8     | when it came, Unix ms                                                        |
 * | 4     | round-trip time at that moment, microseconds; 0 when unknown                 |
 * | 4 + n | session: the transport's own bytes, at most `LIMITS.ticketBytes`             |
 */
import type { KeyObject } from "node:crypto";
import {
  ByteReader,
  ByteWriter,
  concat,
  equalBytes,
  LIMITS,
  type Random,
  type UnixMs,
  unixMs,
  utf8,
} from "../../core/index.ts";
import { LABELS, openOnce, SEALED_OVERHEAD_BYTES, sealOnce, sha256 } from "../../crypto/index.ts";
import type { DeviceId } from "../../identity/index.ts";

const MAGIC = concat(utf8("GHT"), Uint8Array.of(2));
const DIGEST_BYTES = 32;
const RTT_US_MAX = 0xffff_ffff;
const NOTHING = new Uint8Array();

/** Everything but the session. */
export const TICKET_OVERHEAD_BYTES = MAGIC.length + DIGEST_BYTES + 8 + 4 + 4 + SEALED_OVERHEAD_BYTES;

export interface StoredTicket {
  /** 32 bytes. */
  readonly binding: Uint8Array;
  readonly savedAt: UnixMs;
  /** Milliseconds; undefined when it was not known. */
  readonly rttMs: number | undefined;
  readonly session: Uint8Array;
}

/** What a ticket was got with: another gatehouse, another certificate or another authority makes it useless. */
export interface TicketScope {
  readonly gatehouseId: DeviceId;
  /** This device's certificate there, DER. */
  readonly certificate: Uint8Array;
  readonly caCertificates: readonly Uint8Array[];
}

/** 32 bytes that differ whenever anything in `scope` does. */
export function bindingOf({ gatehouseId, certificate, caCertificates }: TicketScope): Uint8Array {
  const writer = new ByteWriter().prefixed(utf8(LABELS.ticketBinding)).prefixed(utf8(gatehouseId));
  writer.prefixed(certificate).u32(caCertificates.length);
  for (const caCertificate of caCertificates) writer.prefixed(caCertificate);
  return sha256(writer.finish());
}

export function encodeTicket(
  { binding, savedAt, rttMs = 0, session }: StoredTicket,
  { key, random }: { readonly key: KeyObject; readonly random: Random },
): Uint8Array {
  const rttUs = Math.min(Math.max(0, Math.round(rttMs * 1_000)), RTT_US_MAX);
  const header = concat(MAGIC, binding);
  const plaintext = new ByteWriter().u64(savedAt).u32(rttUs).prefixed(session).finish();
  const context = { key, label: LABELS.ticket, header, associatedData: NOTHING };
  const sealed = sealOnce({ ...context, plaintext, random });
  plaintext.fill(0);
  return concat(header, sealed);
}

/** Undefined unless `bytes` is a whole ticket that this identity has sealed. The session is a copy. */
export function decodeTicket(bytes: Uint8Array, key: KeyObject): StoredTicket | undefined {
  const header = bytes.subarray(0, MAGIC.length + DIGEST_BYTES);
  if (!equalBytes(header.subarray(0, MAGIC.length), MAGIC)) return undefined;
  const sealed = bytes.subarray(header.length);
  const plaintext = openOnce({ key, label: LABELS.ticket, header, associatedData: NOTHING, sealed });
  if (plaintext === undefined) return undefined;
  const reader = new ByteReader(plaintext);
  const [savedAt, rttUs] = [reader.u64(), reader.u32()];
  const session = new Uint8Array(reader.prefixed(LIMITS.ticketBytes));
  reader.end();
  plaintext.fill(0);
  return {
    binding: new Uint8Array(header.subarray(MAGIC.length)),
    savedAt: unixMs(savedAt),
    rttMs: rttUs === 0 ? undefined : rttUs / 1_000,
    session,
  };
}
