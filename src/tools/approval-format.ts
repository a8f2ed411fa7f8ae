/**
 * An approval as bytes.
 *
 * | bytes | format 1 |
 * | --- | --- |
 * | 1 | format 1 |
 * | 1 | state: 0 pending, 1 approved, 2 denied, 3 used, 4 expired, 5 withdrawn |
 * | … | id, tool, arguments' hash, device that asked: each u32 length, UTF-8 |
 * | 8 | policy version |
 * | 8 | asked at, Unix ms |
 * | 8 | expires at, Unix ms |
 * | 2 | number of arguments |
 * | … | name and value of each, sorted by name, each u32 length, UTF-8 |
 * | … | purpose, u32 length, UTF-8; empty for none |
 * | 1 | 1 when decided, else 0 |
 * | … | when decided: device, u32 length, UTF-8 · u64 decided at, Unix ms |
 * | … | reason, u32 length, UTF-8; empty for none |
 */

import { ByteReader, ByteWriter, fromUtf8, LIMITS, MalformedBytes, utf8 } from "../core/index.ts";
import { isApprovalId } from "./approval-id.ts";
import { APPROVAL_STATES, type Approval, type ApprovalState } from "./approvals.ts";

const FORMAT = 1;
const NAME_BYTES = 128;
const VALUE_BYTES = 4 * LIMITS.toolArgumentLengthMax;
const REASON_BYTES = 4 * LIMITS.toolApprovalReasonLength;

export function encodeApproval(approval: Approval): Uint8Array {
  const writer = new ByteWriter().u8(FORMAT).u8(APPROVAL_STATES.indexOf(approval.state));
  for (const text of [approval.id, approval.tool, approval.argumentsHash, approval.requestedBy]) {
    writer.prefixed(utf8(text));
  }
  writer.u64(approval.policyVersion).u64(approval.requestedAt).u64(approval.expiresAt);
  const pairs = Object.entries(approval.arguments).toSorted(([a], [b]) => (a < b ? -1 : 1));
  writer.u16(pairs.length);
  for (const text of pairs.flat()) writer.prefixed(utf8(text));
  writer.prefixed(utf8(approval.purpose ?? ""));
  const { decidedBy, decidedAt } = approval;
  if (decidedBy === undefined || decidedAt === undefined) writer.u8(0);
  else writer.u8(1).prefixed(utf8(decidedBy)).u64(decidedAt);
  return writer.prefixed(utf8(approval.reason ?? "")).finish();
}

/** @throws MalformedBytes for anything that `encodeApproval` does not give. */
export function decodeApproval(bytes: Uint8Array): Approval {
  const reader = new ByteReader(bytes);
  const format = reader.u8();
  if (format !== FORMAT) throw new MalformedBytes(`approval of format ${format}`);
  const state = readState(reader);
  const [id, tool] = [readText(reader, NAME_BYTES), readText(reader, NAME_BYTES)];
  const [argumentsHash, requestedBy] = [readText(reader, NAME_BYTES), readText(reader, NAME_BYTES)];
  if (!isApprovalId(id)) throw new MalformedBytes("not an approval's id");
  const [policyVersion, requestedAt, expiresAt] = [reader.u64(), reader.u64(), reader.u64()];
  const values = readArguments(reader);
  const purpose = readText(reader, REASON_BYTES) || undefined;
  const decision = readDecision(reader);
  const reason = readText(reader, REASON_BYTES) || undefined;
  reader.end();
  checkDecision(state, decision.decidedBy, reason);
  return Object.freeze({
    ...{ id, tool, arguments: values, argumentsHash, policyVersion, requestedBy, requestedAt, expiresAt },
    ...{ state, purpose, ...decision, reason },
  });
}

function readState(reader: ByteReader): ApprovalState {
  const index = reader.u8();
  const state = APPROVAL_STATES[index];
  if (state === undefined) throw new MalformedBytes(`approval in state ${index}`);
  return state;
}

function readArguments(reader: ByteReader): Readonly<Record<string, string>> {
  const count = reader.u16();
  if (count > LIMITS.toolParameters) throw new MalformedBytes(`${count} arguments`);
  const pairs: (readonly [string, string])[] = [];
  for (let index = 0; index < count; index += 1) {
    const name = readText(reader, NAME_BYTES);
    if (name <= (pairs.at(-1)?.[0] ?? "")) throw new MalformedBytes("arguments are not in order");
    pairs.push([name, readText(reader, VALUE_BYTES)]);
  }
  return Object.freeze(Object.fromEntries(pairs));
}

function readDecision(reader: ByteReader): Pick<Approval, "decidedBy" | "decidedAt"> {
  const flag = reader.u8();
  if (flag > 1) throw new MalformedBytes(`decided: ${flag}`);
  if (flag === 0) return { decidedBy: undefined, decidedAt: undefined };
  return { decidedBy: readText(reader, NAME_BYTES), decidedAt: reader.u64() };
}

/** What was decided has somebody who did, what was not has nobody. */
function checkDecision(
  state: ApprovalState,
  decidedBy: string | undefined,
  reason: string | undefined,
): void {
  const isDecided = decidedBy !== undefined;
  const mustBe = state === "approved" || state === "denied" || state === "used";
  if (isDecided ? state === "pending" : mustBe || reason !== undefined) {
    throw new MalformedBytes(`approval that is ${state}, decided by ${isDecided ? "somebody" : "nobody"}`);
  }
}

function readText(reader: ByteReader, bytesMax: number): string {
  const bytes = reader.prefixed(bytesMax);
  try {
    return fromUtf8(bytes);
  } catch {
    throw new MalformedBytes("text that is not UTF-8");
  }
}
