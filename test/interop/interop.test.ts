import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CASES, Site, see } from "./cases.ts";
import { missingForQuicGo } from "./quic-go.ts";

const OPEN_MS = 60_000;

const missing = await missingForQuicGo();

/** Part of the machine, not of this repository: where it is missing the report says so. */
describe.skipIf(missing !== undefined)(
  `quic-go at our door${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    let site: Site;
    beforeAll(async () => {
      site = await Site.open();
    }, OPEN_MS);
    afterAll(() => site[Symbol.asyncDispose]());

    it.each(CASES)("$title", async (one) => {
      expect(await see(site, one)).toEqual(one.expected);
    });
  },
);
