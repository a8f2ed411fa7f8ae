/**
 * `npm run interop [-- --require]`: a foreign QUIC stack at a real door. Where that stack is not installed it says what to
 * install and ends with 0, or with 1 when it was required.
 */
import { isDeepStrictEqual } from "node:util";
import { CASES, Site, see } from "./cases.ts";
import { missingForQuicGo } from "./quic-go.ts";

const missing = await missingForQuicGo();
if (missing === undefined) process.exitCode = (await runAll()) === 0 ? 0 : 1;
else {
  process.stdout.write(`skipped: ${missing}\n`);
  process.exitCode = process.argv.includes("--require") ? 1 : 0;
}

/** Answers how many failed. */
async function runAll(): Promise<number> {
  await using site = await Site.open();
  let failures = 0;
  for (const one of CASES) {
    const seen: unknown = await see(site, one).catch(String);
    const isRight = isDeepStrictEqual(seen, one.expected);
    if (!isRight) failures += 1;
    process.stdout.write(`${isRight ? "ok    " : "FAILED"}  ${one.title}\n`);
    if (!isRight) process.stdout.write(`        ${JSON.stringify({ seen, expected: one.expected })}\n`);
  }
  return failures;
}
