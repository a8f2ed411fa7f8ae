/** The readable copy of the secrets: lines of JSON, one a version. */
import { fromUtf8 } from "../core/index.ts";
import { damagedBackup } from "./manifest.ts";
import type { VersionDigest } from "./version-digest.ts";

/** The largest value in base64, and the longest of everything else. */
const LINE_BYTES_MAX = 2_097_152;
const LINE_END = 0x0a;

/** Adds each line of a part to `digest`. @throws GatehouseError `backup.damaged` for what is no such line. */
export async function digestLines(
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  digest: VersionDigest,
): Promise<void> {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const chunk of bytes) {
    let start = 0;
    for (let at = chunk.indexOf(LINE_END); at !== -1; at = chunk.indexOf(LINE_END, start)) {
      digestLine(Buffer.concat([...held, chunk.subarray(start, at)]), digest);
      [start, held, heldBytes] = [at + 1, [], 0];
    }
    if (start === chunk.length) continue;
    held.push(new Uint8Array(chunk.subarray(start)));
    heldBytes += chunk.length - start;
    if (heldBytes > LINE_BYTES_MAX) throw badLine();
  }
  if (heldBytes > 0) throw badLine();
}

/** Wipes the line. */
function digestLine(line: Buffer, digest: VersionDigest): void {
  const { path, version, value } = parsedLine(line);
  line.fill(0);
  if (typeof path !== "string" || typeof version !== "number" || typeof value !== "string") throw badLine();
  if (!Number.isSafeInteger(version) || version < 0) throw badLine();
  const bytes = Buffer.from(value, "base64");
  digest.add({ path, version, value: bytes });
  bytes.fill(0);
}

/** The cause is dropped: what it says may hold a value. */
function parsedLine(line: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const fields: unknown = JSON.parse(fromUtf8(line));
    if (typeof fields === "object" && fields !== null) return fields as Readonly<Record<string, unknown>>;
  } catch {
    throw badLine();
  }
  throw badLine();
}

function badLine(): Error {
  return damagedBackup("a line of its secrets");
}
