import { ByteReader, ByteWriter, fromUtf8, LIMITS, MalformedBytes, utf8 } from "../core/index.ts";

/**
 * One transaction as the journal keeps it: named statements with their parameters, and the audit events that ride
 * along. Statements never fail and depend on nothing but their parameters, so that a replay gives the same image.
 *
 * | bytes | field |
 * | --- | --- |
 * | 8 | sequence |
 * | 2 | number of statements |
 * | … | statements: u8 length, name · u8 length, space · u16 length, key · for `put`: u32 length, body |
 * | 2 | number of audit events |
 * | … | events: u32 length, event |
 */

/** One statement. Spaces and keys are printable ASCII: SQLite then orders them as we do. */
export type Change =
  | { readonly kind: "put"; readonly space: Space; readonly key: string; readonly body: Uint8Array }
  | { readonly kind: "delete"; readonly space: Space; readonly key: string };

export type Space =
  | "secret"
  | "version"
  | "value"
  | "expiry"
  | "erasure"
  | "reply"
  | "device"
  | "user"
  | "policy"
  | "approval"
  | "setting";

/** A transaction about to be written, with its encoded statements. */
export interface EncodedTransaction {
  readonly transaction: Transaction;
  readonly statements: Uint8Array;
}

export interface Transaction {
  /** Unique and rising; the revision of every record it wrote. */
  readonly sequence: number;
  readonly changes: readonly Change[];
  readonly events: readonly Uint8Array[];
}

const SPACES: ReadonlySet<string> = new Set<Space>([
  "secret",
  "version",
  "value",
  "expiry",
  "erasure",
  "reply",
  "device",
  "user",
  "policy",
  "approval",
  "setting",
]);
const KEY = /^[\x21-\x7e]{1,1024}$/;
const BODY_MAX = LIMITS.messageBytes + 65_536;
const EVENT_MAX = 1_048_576;

/**
 * Everything of a transaction that follows its sequence, encoded before the sequence is known.
 * @throws RangeError when a key is not 1 to 1 024 printable ASCII characters, or something is too large.
 */
export function encodeStatements(changes: readonly Change[], events: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter().u16(changes.length);
  for (const change of changes) writeChange(writer, change);
  writer.u16(events.length);
  for (const event of events) writer.prefixed(checkedEvent(event));
  const bytes = writer.finish();
  if (bytes.length > LIMITS.vaultGroupBytes) throw new RangeError(`transaction: ${bytes.length} bytes`);
  return bytes;
}

/** @throws MalformedBytes unless `bytes` is exactly one transaction. Bodies and events are views of `bytes`. */
export function decodeTransaction(bytes: Uint8Array): Transaction {
  const reader = new ByteReader(bytes);
  const sequence = reader.u64();
  const changes = Array.from({ length: reader.u16() }, () => readChange(reader));
  const events = Array.from({ length: reader.u16() }, () => reader.prefixed(EVENT_MAX));
  reader.end();
  return { sequence, changes, events };
}

function writeChange(writer: ByteWriter, change: Change): void {
  if (!KEY.test(change.key))
    throw new RangeError("transaction: key is not 1 to 1024 printable ASCII characters");
  const [name, space, key] = [utf8(change.kind), utf8(change.space), utf8(change.key)];
  writer.u8(name.length).raw(name).u8(space.length).raw(space).u16(key.length).raw(key);
  if (change.kind === "delete") return;
  if (change.body.length > BODY_MAX) throw new RangeError(`transaction: body of ${change.body.length} bytes`);
  writer.prefixed(change.body);
}

function checkedEvent(event: Uint8Array): Uint8Array {
  if (event.length > EVENT_MAX) throw new RangeError(`transaction: event of ${event.length} bytes`);
  return event;
}

function readChange(reader: ByteReader): Change {
  const kind = fromUtf8(reader.raw(reader.u8()));
  const space = fromUtf8(reader.raw(reader.u8()));
  const key = fromUtf8(reader.raw(reader.u16()));
  if (!isSpace(space) || !KEY.test(key)) throw new MalformedBytes("unknown space or malformed key");
  if (kind === "put") return { kind, space, key, body: reader.prefixed(BODY_MAX) };
  if (kind === "delete") return { kind, space, key };
  throw new MalformedBytes("unknown statement");
}

function isSpace(text: string): text is Space {
  return SPACES.has(text);
}
