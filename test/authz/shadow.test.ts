import { describe, expect, it } from "vitest";
import { type AuthorizationRequest, type Decision, RequestRecorder, shadow } from "../../src/authz/index.ts";
import { authorizerOf, idOf, NOON_MS, request } from "./fixture.ts";

const reading = (path: string): AuthorizationRequest => request({ resource: { kind: "secret", path } });

function recordedOf(counts: Readonly<Record<string, number>>) {
  const recorder = new RequestRecorder();
  const decision: Decision = { kind: "deny", policies: [], reason: "", isMemoised: false };
  for (const [path, count] of Object.entries(counts)) {
    for (let time = 0; time < count; time += 1) recorder.note(reading(path), decision);
  }
  return recorder.recorded();
}

describe("a shadow of a change", () => {
  const current = () =>
    authorizerOf({
      shared: 'permit (principal, action, resource in Folder::"shared");',
      team: 'permit (principal, action, resource in Folder::"team");',
    });
  const candidate = () =>
    authorizerOf({
      team: 'permit (principal, action, resource in Folder::"team");',
      open: 'permit (principal, action, resource in Folder::"open");',
      closed: 'forbid (principal, action, resource in Folder::"shared/closed");',
      never: 'permit (principal in Role::"x", action, resource);',
    });

  it("has a row for each request whose decision changes, lost rights first and then the commonest", async () => {
    const recorded = recordedOf({
      "open/b": 9,
      "shared/a": 1,
      "team/a": 99,
      "shared/closed/a": 5,
      "other/a": 7,
      "open/a": 2,
    });
    const report = await shadow({ recorded, current: await current(), candidate: await candidate() });
    const rows = report.changed.map(({ summary, count, before, after }) => ({
      summary,
      count,
      before,
      after,
    }));
    const allow = (...policies: readonly string[]) => ({ kind: "allow", policies });
    const deny = (...policies: readonly string[]) => ({ kind: "deny", policies });
    const of = (path: string) => `${idOf("phone").slice(0, 8)}: secret:reveal on the secret ${path}`;
    expect(rows).toEqual([
      { summary: of("shared/closed/a"), count: 5, before: allow("shared"), after: deny("closed") },
      { summary: of("shared/a"), count: 1, before: allow("shared"), after: deny() },
      { summary: of("open/b"), count: 9, before: deny(), after: allow("open") },
      { summary: of("open/a"), count: 2, before: deny(), after: allow("open") },
    ]);
    expect(report.changed[0]?.request).toEqual(reading("shared/closed/a"));
    expect(report).toMatchObject({ decided: 6, matched: ["closed", "open", "team"] });
  });

  it("decides as of when the request came last", async () => {
    const at = (hour: number) =>
      request({ context: { ...request().context, timeMs: NOON_MS + hour * 3_600_000 } });
    const recorder = new RequestRecorder();
    const now = await authorizerOf({ all: "permit (principal, action, resource);" });
    for (const one of [at(0), at(8)]) recorder.note(one, now.decide(one));
    const hours = await authorizerOf({
      all: 'permit (principal, action, resource) when { context.time.toTime() < duration("18h") };',
    });
    const report = await shadow({ recorded: recorder.recorded(), current: now, candidate: hours });
    expect(report.changed).toMatchObject([{ count: 2, after: { kind: "deny" } }]);
  });

  it("changes nothing where nothing changes", async () => {
    const same = await current();
    const recorded = recordedOf({ "shared/a": 1, other: 2 });
    const report = await shadow({ recorded, current: same, candidate: await current() });
    expect(report).toEqual({ changed: [], decided: 2, matched: ["shared"] });
    expect(await shadow({ recorded: [], current: same, candidate: same })).toMatchObject({ decided: 0 });
  });

  it("lets others run after 25 decisions at most, and ends when it is told to", async () => {
    let decisions = 0;
    const decision: Decision = { kind: "allow", policies: [], reason: "", isMemoised: false };
    const counting = {
      decide: (): Decision => {
        decisions += 1;
        return decision;
      },
    };
    const seen: number[] = [];
    const watch = (): void => {
      seen.push(decisions);
      if (decisions < 200) setImmediate(watch);
    };
    setImmediate(watch);
    const recorded = Array.from({ length: 100 }, (_, index) => ({
      ...{ request: reading(`a/${index}`), count: 1, firstMs: 0 },
      decision,
    }));
    await shadow({ recorded, current: counting, candidate: counting });
    const steps = seen.map((count, index) => count - (seen[index - 1] ?? 0));
    expect(Math.max(...steps)).toBeLessThanOrEqual(25);
    const stop = new AbortController();
    setImmediate(() => stop.abort(new TypeError("enough")));
    const ended = shadow({ recorded, current: counting, candidate: counting, signal: stop.signal });
    await expect(ended).rejects.toThrow("enough");
  });
});
