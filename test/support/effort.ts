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
