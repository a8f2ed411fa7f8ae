import { GatehouseError } from "../core/index.ts";

export function conflict(message: string): GatehouseError<"vault.version-conflict"> {
  return new GatehouseError("vault.version-conflict", message, {
    hint: "read it again, decide anew, then try with the version it has now",
  });
}

/** Whether a write failed because the disk or the quota is full; looks through causes. */
export function isNoSpace(failure: unknown): boolean {
  if (!(failure instanceof Error)) return false;
  const code: unknown = "code" in failure ? failure.code : undefined;
  return code === "ENOSPC" || code === "EDQUOT" || isNoSpace(failure.cause);
}

/** For an error's words. */
export function formatBytes(sizeBytes: number): string {
  return sizeBytes >= 2 ** 20 ? `${Math.floor(sizeBytes / 2 ** 20)} MiB` : `${sizeBytes} bytes`;
}
