import { basename } from "node:path";
import { GatehouseError } from "../core/index.ts";

/** What did not verify, and where: the file's bare name and the offset of the part it was in. */
export function damaged(path: string, offset: number, reason: string): GatehouseError<"vault.damaged"> {
  return new GatehouseError("vault.damaged", `${basename(path)} is damaged at offset ${offset}: ${reason}`, {
    hint: "nothing was changed; restore the vault's folder from a backup, or copy it aside before any repair",
  });
}
