/**
 * What routing and the gate need of QUIC packets (RFC 8999 §5, RFC 9000 §17), without decrypting anything.
 *
 * Long header:  first byte (1) ‖ version (4) ‖ DCID length (1) ‖ DCID ‖ SCID length (1) ‖ SCID
 *               Initial: ‖ token length (varint) ‖ token ‖ length (varint) ‖ …
 *               0-RTT, Handshake: ‖ length (varint) ‖ …
 * Short header: first byte (1) ‖ DCID (our own fixed length) ‖ …
 *
 * Nothing here throws: what does not parse is `undefined`.
 */

export const QUIC_V1 = 0x0000_0001;
/** RFC 9000 §14.1: a client's Initial travels in a datagram at least this long. */
export const INITIAL_DATAGRAM_BYTES_MIN = 1_200;
const CONNECTION_ID_BYTES_MAX = 20;

const NO_TOKEN = Buffer.alloc(0);

const LONG_KINDS = ["initial", "zero-rtt", "handshake", "retry"] as const;

export type LongKind = (typeof LONG_KINDS)[number] | "other-version";

export interface LongHeader {
  readonly kind: LongKind;
  readonly version: number;
  readonly dcid: Buffer;
  readonly scid: Buffer;
  /** Of an Initial; empty where there is none. */
  readonly token: Buffer;
  /** Offset in the datagram where this packet ends. */
  readonly end: number;
}

export function isLong(datagram: Uint8Array, offset = 0): boolean {
  return ((datagram[offset] ?? 0) & 0x80) !== 0;
}

export function parseLongHeader(datagram: Buffer, offset = 0): LongHeader | undefined {
  if (datagram.length < offset + 7) return undefined;
  const first = datagram[offset] ?? 0;
  const version = datagram.readUInt32BE(offset + 1);
  const dcid = connectionId(datagram, offset + 5);
  if (dcid === undefined) return undefined;
  const scid = connectionId(datagram, offset + 6 + dcid.length);
  if (scid === undefined) return undefined;
  const body = offset + 7 + dcid.length + scid.length;
  const ids = { version, dcid, scid };
  if (version !== QUIC_V1) return { ...ids, kind: "other-version", token: NO_TOKEN, end: datagram.length };
  if ((first & 0x40) === 0) return undefined;
  const kind = LONG_KINDS[(first >> 4) & 0x03] ?? "retry";
  const token = kind === "initial" ? tokenOf(datagram, body) : { bytes: NO_TOKEN, end: body };
  if (token === undefined) return undefined;
  const end = kind === "retry" ? datagram.length : packetEnd(datagram, token.end);
  return end === undefined ? undefined : { ...ids, kind, token: token.bytes, end };
}

/** Version Negotiation (RFC 9000 §17.2.1) offering version 1 only. Shorter than the datagram that asked. */
export function versionNegotiation(header: LongHeader, firstByte: number): Uint8Array {
  const packet = Buffer.alloc(7 + header.scid.length + header.dcid.length + 4);
  packet[0] = 0x80 | firstByte;
  packet[5] = header.scid.length;
  header.scid.copy(packet, 6);
  packet[6 + header.scid.length] = header.dcid.length;
  header.dcid.copy(packet, 7 + header.scid.length);
  packet.writeUInt32BE(QUIC_V1, packet.length - 4);
  return packet;
}

export interface CoalescedPacket {
  readonly kind: LongKind | "short";
  /** The packet and any zero padding behind it: the 3× credit of RFC 9000 §8.1 counts padding too. */
  readonly bytes: Buffer;
}

/** Splits a datagram (RFC 9000 §12.2); stops quietly at what does not parse. */
export function* coalescedPackets(datagram: Buffer): Generator<CoalescedPacket> {
  let offset = 0;
  while (offset < datagram.length) {
    if (!isLong(datagram, offset)) {
      yield { kind: "short", bytes: datagram.subarray(offset) };
      return;
    }
    const header = parseLongHeader(datagram, offset);
    if (header === undefined) return;
    const end = isZero(datagram, header.end) ? datagram.length : header.end;
    yield { kind: header.kind, bytes: datagram.subarray(offset, end) };
    offset = end;
  }
}

function connectionId(datagram: Buffer, offset: number): Buffer | undefined {
  const length = datagram[offset];
  if (length === undefined || length > CONNECTION_ID_BYTES_MAX) return undefined;
  const end = offset + 1 + length;
  return end > datagram.length ? undefined : datagram.subarray(offset + 1, end);
}

function tokenOf(datagram: Buffer, body: number): { bytes: Buffer; end: number } | undefined {
  const length = varint(datagram, body);
  if (length === undefined) return undefined;
  const end = length.next + length.value;
  return end > datagram.length ? undefined : { bytes: datagram.subarray(length.next, end), end };
}

function packetEnd(datagram: Buffer, offset: number): number | undefined {
  const length = varint(datagram, offset);
  if (length === undefined) return undefined;
  const end = length.next + length.value;
  return end > datagram.length ? undefined : end;
}

/** RFC 9000 §16. */
function varint(bytes: Buffer, offset: number): { value: number; next: number } | undefined {
  const first = bytes[offset];
  if (first === undefined) return undefined;
  const width = 1 << (first >> 6);
  if (offset + width > bytes.length) return undefined;
  let value = first & 0x3f;
  for (let index = 1; index < width; index += 1) value = value * 256 + (bytes[offset + index] ?? 0);
  return { value, next: offset + width };
}

function isZero(bytes: Buffer, from: number): boolean {
  if (bytes[from] !== 0) return false;
  return bytes.subarray(from).every((byte) => byte === 0);
}
