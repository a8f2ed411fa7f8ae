import { describe, expect, it } from "vitest";
import { pace } from "./pace.ts";

const PER_SECOND = 2_000;
const SECONDS = 0.5;

describe("a stated rate", () => {
  it("is never passed, whatever one turn sends", async () => {
    for (const atOnce of [1, 7]) {
      let sent = 0;
      const paced = await pace({ perSecond: PER_SECOND, seconds: SECONDS }, () => {
        sent += atOnce;
        return atOnce;
      });
      expect(paced.datagrams).toBe(sent);
      expect(sent).toBeLessThanOrEqual(PER_SECOND * SECONDS + atOnce);
      expect(sent).toBeGreaterThan(0);
    }
  });

  it("tells what was really sent when there is nothing to send", async () => {
    expect(await pace({ perSecond: PER_SECOND, seconds: 0.05 }, () => 0)).toEqual({
      datagrams: 0,
      perSecond: 0,
    });
  });
});
