// Writes test/vectors/frames.json: `npx tsx scripts/generate-frame-vectors.ts`. The same schema makes the same bytes.
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { makeFrameVectors } from "../test/vectors/make-frames.ts";

const file = fileURLToPath(new URL("../test/vectors/frames.json", import.meta.url));
await writeFile(file, `${JSON.stringify(makeFrameVectors(), undefined, 2)}\n`);
