/**
 * Between which numbers an expression's value lies: of a Long, of a duration in ms, of a datetime in ms since 1970. Not
 * clipped where it leaves 64 bits: that is how it shows.
 */
import { contextAccess, isObject } from "./policy-json.ts";

export interface Range {
  readonly from: bigint;
  readonly to: bigint;
}

export const INT64: Range = { from: -(2n ** 63n), to: 2n ** 63n - 1n };

const DAY_MS = 86_400_000n;
/** A datetime literal: a date, and perhaps a time of day with its zone. */
const DATETIME = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d(?:\.\d{3})?)(?:Z|([+-]\d\d)(\d\d)))?$/;
/** When a call can come. */
const CALL_TIMES: Range = { from: 0n, to: 253_402_300_799_000n };

const UNITS: Readonly<Record<string, bigint>> = { d: DAY_MS, h: 3_600_000n, m: 60_000n, s: 1_000n, ms: 1n };
/** Each rounds towards zero. */
const DIVISORS: Readonly<Record<string, bigint>> = {
  toMilliseconds: 1n,
  toSeconds: 1_000n,
  toMinutes: 60_000n,
  toHours: 3_600_000n,
  toDays: DAY_MS,
};

export function isWithin(inner: Range, outer: Range): boolean {
  return inner.from >= outer.from && inner.to <= outer.to;
}

/** `undefined` where the expression's own operator cannot fail and nothing more is known of its value. */
export function intervalOf(node: unknown): Range | undefined {
  if (!isObject(node)) return undefined;
  if (contextAccess(node) === "time" && "." in node) return CALL_TIMES;
  const [[operator, operand] = ["", undefined]] = Object.entries(node);
  if (operator === "Value") return literal(operand);
  if (operator === "neg") return negated(rangeOf(isObject(operand) ? operand["arg"] : undefined));
  if (operator === "if-then-else" && isObject(operand)) return union(operand["then"], operand["else"]);
  if (Array.isArray(operand)) return methodRange(operator, operand);
  return isObject(operand) ? arithmetic(operator, operand) : undefined;
}

/** As an operand of something else: within 64 bits, or the evaluation has failed before. */
function rangeOf(node: unknown): Range {
  const { from, to } = intervalOf(node) ?? INT64;
  return { from: clipped(from), to: clipped(to) };
}

function arithmetic(operator: string, operands: Readonly<Record<string, unknown>>): Range | undefined {
  if (operator !== "+" && operator !== "-" && operator !== "*") return undefined;
  const [left, right] = [rangeOf(operands["left"]), rangeOf(operands["right"])];
  if (operator === "+") return sum(left, right);
  return operator === "-" ? sum(left, negated(right)) : product(left, right);
}

function methodRange(method: string, [self, argument]: readonly unknown[]): Range | undefined {
  const divisor = DIVISORS[method];
  if (divisor !== undefined) return divided(rangeOf(self), divisor);
  switch (method) {
    case "datetime":
      return datetimeLiteral(textOf(self));
    case "duration":
      return durationLiteral(textOf(self));
    case "offset":
      return sum(rangeOf(self), rangeOf(argument));
    case "durationSince":
      return sum(rangeOf(self), negated(rangeOf(argument)));
    case "toTime":
      return { from: 0n, to: DAY_MS - 1n };
    case "toDate":
      return dateRange(rangeOf(self));
    default:
      return undefined;
  }
}

/** Rounded down to midnight. */
function dateRange({ from, to }: Range): Range {
  const midnight = (time: bigint): bigint => time - (((time % DAY_MS) + DAY_MS) % DAY_MS);
  return { from: midnight(from), to: midnight(to) };
}

/** Past 2^53 a literal has lost its last digits on the way here: it could be any such number. */
function literal(value: unknown): Range | undefined {
  if (typeof value !== "number") return undefined;
  return Number.isSafeInteger(value) ? exactly(BigInt(value)) : INT64;
}

/** `2026-11-23T12:00:00.000+0100`; what follows the time is how far the zone is ahead. */
function datetimeLiteral(text: string): Range {
  const [, date = "", time = "00:00:00", hours = "0", minutes = "0"] = DATETIME.exec(text) ?? [];
  const localMs = Date.parse(`${date}T${time}Z`);
  if (Number.isNaN(localMs)) return INT64;
  const sign = hours.startsWith("-") ? -1 : 1;
  return exactly(BigInt(localMs - (Number(hours) * 60 + sign * Number(minutes)) * 60_000));
}

/** `-1d2h3m4s5ms`. */
function durationLiteral(text: string): Range {
  let lengthMs = 0n;
  for (const [, count = "0", unit = "ms"] of text.matchAll(/(\d+)(ms|[dhms])/g)) {
    lengthMs += BigInt(count) * (UNITS[unit] ?? 1n);
  }
  return exactly(text.startsWith("-") ? -lengthMs : lengthMs);
}

/** The validator takes literals only. */
function textOf(argument: unknown): string {
  const text = isObject(argument) ? argument["Value"] : undefined;
  return typeof text === "string" ? text : "";
}

function exactly(value: bigint): Range {
  return { from: value, to: value };
}

function sum(a: Range, b: Range): Range {
  return { from: a.from + b.from, to: a.to + b.to };
}

function negated({ from, to }: Range): Range {
  return { from: -to, to: -from };
}

function product(a: Range, b: Range): Range {
  return hull([a.from * b.from, a.from * b.to, a.to * b.from, a.to * b.to]);
}

function divided({ from, to }: Range, divisor: bigint): Range {
  return { from: from / divisor, to: to / divisor };
}

function union(a: unknown, b: unknown): Range {
  const [left, right] = [rangeOf(a), rangeOf(b)];
  return hull([left.from, left.to, right.from, right.to]);
}

function hull(bounds: readonly bigint[]): Range {
  const bigger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
  const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);
  return { from: bounds.reduce(smaller), to: bounds.reduce(bigger) };
}

function clipped(value: bigint): bigint {
  if (value < INT64.from) return INT64.from;
  return value > INT64.to ? INT64.to : value;
}
