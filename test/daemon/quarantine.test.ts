import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMITS, type Logger, silentLogger } from "../../src/core/index.ts";
import { Quarantine } from "../../src/daemon/quarantine.ts";
import { readNotes } from "../../src/daemon/quarantine-notes.ts";
import { appendNote, encodeNote } from "../../src/daemon/watchdog-note.ts";
import { METHODS } from "../../src/gen/index.ts";
import { isDeviceId } from "../../src/identity/index.ts";
import { idOf, World } from "../services/support.ts";

let dir: string;
let notes: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "gatehouse-quarantine-"));
  notes = join(dir, "freezes");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Remembers the names of what was logged, with the device it was about. */
class Log {
  readonly lines: string[] = [];
  readonly logger: Logger = {
    ...silentLogger,
    warn: (event, { device = "" } = {}) => void this.lines.push(`${event} ${String(device)}`.trim()),
    error: (event, { device = "" } = {}) => void this.lines.push(`${event} ${String(device)}`.trim()),
  };
}

const frozeBy = (name: string | undefined, times = 1): void => {
  for (let time = 1; time <= times; time += 1)
    appendNote(notes, { device: name && idOf(name), at: 1_700_000_000_000 + time, silentMs: 10_000.25 });
};

describe("a start after freezes", () => {
  let world: World;
  let log: Log;
  beforeEach(async () => {
    world = await World.open();
    log = new Log();
  });
  afterEach(() => world[Symbol.asyncDispose]());

  const start = (gatehouseId = idOf("gatehouse")): Promise<Quarantine> => {
    const { vault, audit, clock } = world.parts;
    const parts = { notesFile: notes, devices: vault.devices, audit, gatehouseId, clock };
    return Quarantine.open({ ...parts, logger: log.logger });
  };
  const stateOf = (name: string): string | undefined => world.parts.vault.devices.get(idOf(name))?.state;

  it("says nothing where there were none", async () => {
    await start();
    expect(log.lines).toEqual([]);
    expect(await world.auditLines()).toEqual([]);
  });

  it("tells who froze the door once, and shuts nobody out", async () => {
    frozeBy("phone");
    frozeBy("laptop");
    frozeBy(undefined, 3);
    await start();
    expect(log.lines).toEqual([
      `door-was-frozen ${idOf("phone")}`,
      `door-was-frozen ${idOf("laptop")}`,
      "door-was-frozen nobody",
    ]);
    expect(["phone", "laptop"].map(stateOf)).toEqual(["active", "active"]);
  });

  it("shuts out who froze it twice, on record and once, however often it starts", async () => {
    frozeBy("phone", 2);
    frozeBy("laptop");
    await start();
    world.parts.clock.advance(1_000);
    await start();
    expect(["phone", "laptop"].map(stateOf)).toEqual(["quarantined", "active"]);
    expect(log.lines).toContain(`device-quarantined ${idOf("phone")}`);
    expect((await world.audited()).map(({ event }) => event)).toMatchObject([
      {
        ...{ principal: "", action: "device:quarantine", resource: `device:${idOf("phone")}` },
        ...{ outcome: "done", detail: { freezes: "2" } },
      },
    ]);
    expect(world.parts.registry.find("phone").quarantinedAt).toBe(world.parts.clock.now() - 1_000);
  });

  it("keeps a device shut out whose notes were lost", async () => {
    frozeBy("phone", 2);
    await start();
    rmSync(notes);
    await start();
    expect(stateOf("phone")).toBe("quarantined");
  });

  it("lets a released device in, and forgets its freezes and no others", async () => {
    frozeBy("phone", 2);
    frozeBy("laptop");
    const quarantine = await start();
    const event = world.parts.audit.encodeEvent({ action: "test:setup", resource: "-", outcome: "done" });
    expect(await quarantine.release(idOf("phone"), { audit: event })).toMatchObject({ state: "active" });
    frozeBy("phone");
    frozeBy("laptop");
    await start();
    expect(["phone", "laptop"].map(stateOf)).toEqual(["active", "quarantined"]);
  });

  it("reports the gatehouse's own identity, and never shuts it out", async () => {
    frozeBy("owner", 5);
    await start(idOf("owner"));
    expect(stateOf("owner")).toBe("active");
    expect(log.lines).toEqual([`door-was-frozen ${idOf("owner")}`]);
  });

  it("does not shut out the last owner, who alone could release anybody", async () => {
    frozeBy("owner", 2);
    frozeBy("second", 2);
    await start();
    expect(["owner", "second"].map(stateOf)).toEqual(["quarantined", "active"]);
    expect(log.lines).toContain(`device-not-quarantined ${idOf("second")}`);
  });

  it("leaves alone who was revoked, and whom it never knew", async () => {
    await world.call("owner", METHODS.Device.Revoke, { device: "phone" });
    frozeBy("phone", 2);
    frozeBy("nobody anybody knows", 2);
    await start();
    expect(stateOf("phone")).toBe("revoked");
  });

  it("counts the good lines of a damaged file, and sets the file aside", async () => {
    frozeBy("phone");
    writeFileSync(notes, `${readFileSync(notes, "utf8")}\u0000{]\n`);
    frozeBy("phone");
    const damaged = readFileSync(notes, "utf8");
    await start();
    expect(stateOf("phone")).toBe("quarantined");
    expect(log.lines[0]).toBe("freeze-notes-damaged");
    expect(readFileSync(`${notes}.damaged`, "utf8")).toBe(damaged);
    log.lines.length = 0;
    await start();
    expect(log.lines).toEqual([`door-was-frozen ${idOf("phone")}`]);
  });

  it("counts the newest lines of a file that has grown out of all bounds", async () => {
    writeFileSync(notes, "x".repeat(3 * LIMITS.freezeNotesBytes), { mode: 0o600 });
    frozeBy("phone", 2);
    await start();
    expect(stateOf("phone")).toBe("quarantined");
    expect(log.lines[0]).toBe("freeze-notes-damaged");
    expect(readFileSync(notes).length).toBeLessThan(1_000);
  });

  it("opens the door when there is no reading them at all, and says so", async () => {
    mkdirSync(notes);
    await start();
    expect(log.lines).toEqual(["freeze-notes-unreadable"]);
  });

  it("keeps the newest notes, and so many of them that its file stays small", async () => {
    const line = encodeNote({ device: idOf("phone"), at: 1, silentMs: 10_000 });
    writeFileSync(notes, line.repeat(LIMITS.freezeNotes + 40));
    expect(await readNotes(notes, log.logger)).toHaveLength(LIMITS.freezeNotes);
    expect(readFileSync(notes).length).toBe(line.length * LIMITS.freezeNotes);
    expect(readFileSync(notes).length).toBeLessThan(LIMITS.freezeNotesBytes);
  });
});

describe("freeze notes", () => {
  it("cut anywhere are the whole ones before the cut", async () => {
    const lines = ["phone", "laptop", undefined].map((name) =>
      encodeNote({ device: name && idOf(name), at: 1, silentMs: 2 }),
    );
    const whole = lines.join("");
    for (let length = 0; length <= whole.length; length += 1) {
      writeFileSync(notes, whole.slice(0, length));
      const ends = lines.map((_, index) => lines.slice(0, index + 1).join("").length);
      // The line end itself adds nothing.
      const expected = ends.filter((end) => end - 1 <= length).length;
      expect(await readNotes(notes, silentLogger)).toHaveLength(expected);
    }
  });

  it("of whatever bytes name a device only by a whole id", async () => {
    const line = encodeNote({ device: idOf("phone"), at: 1_700_000_000_000, silentMs: 10_001 });
    for (let bit = 0; bit < line.length * 8; bit += 1) {
      const flipped = Buffer.from(line);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      writeFileSync(notes, flipped);
      for (const { device } of await readNotes(notes, silentLogger))
        expect([undefined, idOf("phone")]).toContain(device);
    }
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        writeFileSync(notes, bytes);
        for (const { device } of await readNotes(notes, silentLogger))
          expect(device === undefined || isDeviceId(device)).toBe(true);
      }),
    );
  });
});
