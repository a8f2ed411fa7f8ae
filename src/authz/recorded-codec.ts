/**
 * Recorded requests as bytes, version 1:
 *
 * | bytes | what |
 * | --- | --- |
 * | 4 | `GHRQ` |
 * | 1 | version, 1 |
 * | rest | UTF-8 JSON: a list of `[request, lastMs, count, kind, policies]`, those not seen for longest first |
 *
 * A request has the time when it came first, its keys in the order of `plainRequest`, and none that are `undefined`.
 */
import { concat, equalBytes, fromUtf8, utf8 } from "../core/index.ts";
import type { Decision } from "./decision.ts";
import { choiceOf, countOf, listOf, Misshapen, textOf } from "./json-shape.ts";
import { requestOf } from "./recorded-request.ts";
import type { AuthorizationRequest } from "./request.ts";

export interface RecordedRow {
  readonly request: AuthorizationRequest;
  readonly lastMs: number;
  readonly count: number;
  readonly decision: Pick<Decision, "kind" | "policies">;
}

const HEADER = concat(utf8("GHRQ"), Uint8Array.of(1));
/** More than is ever written: checked before anything is read. */
const BYTES_MAX = 16_777_216;

/** `text` is the request's own JSON: made once, where all of it for each encoding would hold up the loop. */
export function encodeRows(rows: readonly (RecordedRow & { readonly text: string })[]): Uint8Array {
  const texts = rows.map(({ text, lastMs, count, decision: { kind, policies } }) => {
    return `[${text},${lastMs},${count},"${kind}",${JSON.stringify(policies)}]`;
  });
  return concat(HEADER, utf8(`[${texts.join()}]`));
}

/**
 * Rows of the right shape, or `undefined`. There is one way only to write them: whoever gets them checks that they encode
 * to these bytes again. Borrows the bytes.
 */
export function decodeRows(bytes: Uint8Array): readonly RecordedRow[] | undefined {
  if (bytes.length > BYTES_MAX || !equalBytes(bytes.subarray(0, HEADER.length), HEADER)) return undefined;
  try {
    return listOf(JSON.parse(fromUtf8(bytes.subarray(HEADER.length))), "", rowOf);
  } catch (error) {
    // Not UTF-8, not JSON, nested deeper than the stack, or not of the shape.
    const isExpected = [TypeError, SyntaxError, RangeError, Misshapen].some((kind) => error instanceof kind);
    if (isExpected) return undefined;
    throw error;
  }
}

function rowOf(json: unknown, place: string): RecordedRow {
  const row = listOf(json, place, (field) => field);
  if (row.length !== 5) throw new Misshapen(place, "has not five fields");
  const [request, lastMs, count, kind, policies] = row;
  return {
    request: requestOf(request, `${place}[0]`),
    lastMs: countOf(lastMs, `${place}[1]`),
    count: countOf(count, `${place}[2]`),
    decision: {
      kind: choiceOf(kind, `${place}[3]`, ["allow", "deny"]),
      policies: listOf(policies, `${place}[4]`, textOf),
    },
  };
}
