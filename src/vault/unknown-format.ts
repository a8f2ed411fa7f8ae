import { basename } from "node:path";
import { equalBytes, GatehouseError } from "../core/index.ts";
import { damaged } from "./damage.ts";

/** `what`, such as `format 7 of header`, is a newer gatehouse's. */
export function unknownFormat(what: string): GatehouseError<"vault.unknown-format"> {
  return new GatehouseError("vault.unknown-format", `${what} is not known to this gatehouse`, {
    hint: "it was made by a newer gatehouse and nothing was changed; upgrade this one",
  });
}

/**
 * Refuses a file that begins with `magic` and another format than `known`. A changed byte is told from a newer format by
 * putting ours in its place: `verifies` says whether the file holds then.
 * @throws GatehouseError `vault.unknown-format`, `vault.damaged`
 */
export function checkFormat(
  path: string,
  bytes: Uint8Array,
  expected: {
    readonly magic: Uint8Array;
    readonly known: number;
    readonly verifies: (bytes: Uint8Array) => boolean;
  },
): void {
  const { magic, known, verifies } = expected;
  const format = bytes[magic.length];
  if (format === undefined || format === known || !equalBytes(bytes.subarray(0, magic.length), magic)) return;
  if (verifies(bytes.with(magic.length, known))) throw damaged(path, magic.length, "its format was changed");
  throw unknownFormat(`format ${format} of ${basename(path)}`);
}
