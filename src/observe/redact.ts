import type { LogFields } from "../core/index.ts";

const SECRET_WORDS = new Set([
  ...["secret", "password", "passwd", "passphrase", "plaintext", "token", "credential", "credentials"],
  ...["authorization", "cookie", "kek", "dek", "seed", "pin", "otp"],
]);
const SECRET_PAIRS = new Set(["private key", "api key", "shared key", "pairing code", "client secret"]);

/** A log line is bounded however long the text that a peer chose. */
const TEXT_MAX = 512;

/**
 * The fields with everything that looks secret by its key, and every pairing URI, replaced by `[redacted]`.
 * A safety net: nothing secret should have been handed over.
 */
export function redact(fields: LogFields): LogFields {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, looksSecret(key) ? "[redacted]" : safeValue(value)]),
  );
}

function looksSecret(key: string): boolean {
  const words = key
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z0-9]+/);
  return words.some(
    (word, index) => SECRET_WORDS.has(word) || SECRET_PAIRS.has(`${word} ${words[index + 1]}`),
  );
}

function safeValue(value: LogFields[string]): LogFields[string] {
  if (typeof value !== "string") return value;
  const text = value.replace(/gatehouse:\/\/\S+/gi, "[redacted]");
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}
