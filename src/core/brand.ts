declare const brand: unique symbol;

/** A `Base` that only the function which checked it can make. */
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** Wall-clock time, milliseconds since 1970-01-01T00:00Z. */
export type UnixMs = Brand<number, "UnixMs">;

/** @throws RangeError unless `value` is a whole number of milliseconds from 0 to 2^53 − 1. */
export function unixMs(value: number): UnixMs {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`unixMs: not a time: ${value}`);
  return value as UnixMs;
}
