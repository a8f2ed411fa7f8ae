/**
 * One session ticket in a file.
 *
 * | bytes | what                                                                              |
 * | ----- | --------------------------------------------------------------------------------- |
 * | 4     | `GHT`, version 1                                                                  |
 * | 32    | binding: what the ticket was got with, see `bindingOf`                            |
 * | 8     | when it came, Unix ms                                                             |
 * | 4     | round-trip time at that moment, microseconds; 0 when unknown                      |
 * | 4 + n | session: the transport's own bytes, at most `LIMITS.ticketBytes`                  |
 * | 32    | SHA-256 of everything before: a torn file is noticed, not one that somebody forged |
 */
import {
  ByteReader,
  ByteWriter,
  concat,
  equalBytes,
  LIMITS,
  MalformedBytes,
  type UnixMs,
  unixMs,
  utf8,
} from "../core/index.ts";
import { LABELS, sha256 } from "../crypto/index.ts";
import type { DeviceId } from "../identity/index.ts";

const MAGIC = concat(utf8("GHT"), Uint8Array.of(1));
const DIGEST_BYTES = 32;
const RTT_US_MAX = 0xffff_ffff;

/** Everything but the session. */
export const TICKET_OVERHEAD_BYTES = MAGIC.length + DIGEST_BYTES + 8 + 4 + 4 + DIGEST_BYTES;

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

export function encodeTicket({ binding, savedAt, rttMs = 0, session }: StoredTicket): Uint8Array {
  const rttUs = Math.min(Math.max(0, Math.round(rttMs * 1_000)), RTT_US_MAX);
  const body = new ByteWriter().raw(MAGIC).raw(binding).u64(savedAt).u32(rttUs).prefixed(session).finish();
  return concat(body, sha256(body));
}

/** Undefined unless `bytes` is a whole ticket. The session is a copy. */
export function decodeTicket(bytes: Uint8Array): StoredTicket | undefined {
  try {
    return read(new ByteReader(bytes), bytes);
  } catch (failure) {
    if (failure instanceof MalformedBytes) return undefined;
    throw failure;
  }
}

function read(reader: ByteReader, bytes: Uint8Array): StoredTicket | undefined {
  if (!equalBytes(reader.raw(MAGIC.length), MAGIC)) return undefined;
  const binding = reader.raw(DIGEST_BYTES);
  const savedAt = reader.u64();
  const rttUs = reader.u32();
  const session = reader.prefixed(LIMITS.ticketBytes);
  const body = bytes.subarray(0, reader.offset);
  const digest = reader.raw(DIGEST_BYTES);
  reader.end();
  if (!equalBytes(sha256(body), digest)) return undefined;
  return {
    binding: new Uint8Array(binding),
    savedAt: unixMs(savedAt),
    rttMs: rttUs === 0 ? undefined : rttUs / 1_000,
    session: new Uint8Array(session),
  };
}
