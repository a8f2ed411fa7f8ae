import { GatehouseError, type Random } from "../core/index.ts";

const CODES = 1_000_000;
/** The largest multiple of `CODES` below 2^32: draws above it would make small codes likelier. */
const UNBIASED_BELOW = Math.floor(2 ** 32 / CODES) * CODES;

/** Six decimal digits, each code equally likely. */
export function makePairingCode(random: Random): string {
  for (;;) {
    const drawn = random.bytes(4).reduce((value, byte) => value * 256 + byte, 0);
    if (drawn < UNBIASED_BELOW) return String(drawn % CODES).padStart(6, "0");
  }
}

/**
 * Six digits as people type them: spaces and dashes anywhere are forgiven.
 * @throws GatehouseError `pairing.bad-code` for anything else.
 */
export function parsePairingCode(text: string): string {
  const digits = text.replace(/[\s\-\u2010-\u2015]/g, "");
  if (/^[0-9]{6}$/.test(digits)) return digits;
  throw new GatehouseError("pairing.bad-code", "a pairing code is six digits", {
    hint: "type the code that `gatehouse pair open` shows, for example 123 456",
  });
}
