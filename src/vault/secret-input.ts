import { GatehouseError, LIMITS } from "../core/index.ts";
import type { Labels, PutInput } from "./secret-types.ts";

const DEFAULT_CONTENT_TYPE = "application/octet-stream";
const PRINTABLE = /^[\x20-\x7e]*$/;
const LABEL_KEY = /^[a-z0-9._/-]+$/;

/** @throws GatehouseError `vault.too-large`, `usage.bad-argument`. */
export function checkPut({ value, contentType, ttlMs, labels, createdBy }: PutInput): void {
  if (value.length > LIMITS.secretValueBytes) {
    throw new GatehouseError("vault.too-large", `a value is at most ${LIMITS.secretValueBytes} bytes`, {
      hint: "keep large files elsewhere, encrypted under a key kept here",
    });
  }
  if (contentType !== undefined && !isPrintable(contentType, LIMITS.secretContentTypeBytes)) {
    throw badArgument("a content type is at most 128 printable ASCII characters");
  }
  if (ttlMs !== undefined) checkTtl(ttlMs);
  if (labels !== undefined) checkLabels(labels);
  if (createdBy.length > 256) throw new RangeError("put: createdBy is longer than 256 characters");
}

/** @throws GatehouseError `usage.bad-argument` unless each of them could be a path's, and they are few enough. */
export function checkLabels(labels: Labels): void {
  const entries = Object.entries(labels);
  if (entries.length > LIMITS.secretLabels) {
    throw badArgument(`a secret has at most ${LIMITS.secretLabels} labels`);
  }
  for (const [key, value] of entries) {
    if (key.length > LIMITS.secretLabelKeyBytes || !LABEL_KEY.test(key)) {
      throw badArgument(`a label's key is 1 to ${LIMITS.secretLabelKeyBytes} of a-z, 0-9, dot, _, / and -`);
    }
    if (!isPrintable(value, LIMITS.secretLabelValueBytes)) {
      throw badArgument(
        `a label's value is at most ${LIMITS.secretLabelValueBytes} printable ASCII characters`,
      );
    }
  }
}

export function hasLabels(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}

export function contentTypeOf({ contentType }: PutInput): string {
  return contentType === undefined || contentType === "" ? DEFAULT_CONTENT_TYPE : contentType;
}

function checkTtl(ttlMs: number): void {
  const { secretTtlMinMs, secretTtlMaxMs } = LIMITS;
  if (Number.isSafeInteger(ttlMs) && ttlMs >= secretTtlMinMs && ttlMs <= secretTtlMaxMs) return;
  throw badArgument("a secret lives for 1 second to 10 years, in whole milliseconds");
}

function isPrintable(text: string, max: number): boolean {
  return text.length <= max && PRINTABLE.test(text);
}

function badArgument(message: string): GatehouseError<"usage.bad-argument"> {
  return new GatehouseError("usage.bad-argument", message);
}
