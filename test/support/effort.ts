import { inject } from "vitest";

declare module "vitest" {
  interface ProvidedContext {
    readonly effort: "short" | "long";
  }
}

/** Whether `npm run test:long` runs: for what is proved elsewhere too, at less expense. */
export const isLong: boolean = inject("effort") === "long";

/** How many times: `long` in `npm run test:long`, `short` in `npm test`, which shall end within minutes. */
export function times({ short, long }: { readonly short: number; readonly long: number }): number {
  return isLong ? long : short;
}

/** Of a property whose runs must have met certain cases: a few runs meet them by a seed of their own, many by themselves. */
export function runs({ short, long }: { readonly short: number; readonly long: number }): {
  readonly numRuns: number;
  readonly seed?: number;
} {
  return isLong ? { numRuns: long } : { numRuns: short, seed: 7 };
}
