import { inject } from "vitest";

declare module "vitest" {
  interface ProvidedContext {
    readonly effort: "short" | "long";
  }
}

/** How many times: `long` in `npm run test:long`, `short` in `npm test`, which shall end within minutes. */
export function times({ short, long }: { readonly short: number; readonly long: number }): number {
  return inject("effort") === "long" ? long : short;
}

/** Of a property whose runs must have met certain cases: a few runs meet them by a seed of their own, many by themselves. */
export function runs({ short, long }: { readonly short: number; readonly long: number }): {
  readonly numRuns: number;
  readonly seed?: number;
} {
  return inject("effort") === "long" ? { numRuns: long } : { numRuns: short, seed: 7 };
}
