// Writes test/vectors/pairing.json: `npx tsx scripts/generate-pairing-vectors.ts`. The same code makes the same bytes.
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { makePairingVectors } from "../test/vectors/make-pairing.ts";

const file = fileURLToPath(new URL("../test/vectors/pairing.json", import.meta.url));
await writeFile(file, `${JSON.stringify(await makePairingVectors(), undefined, 2)}\n`);
