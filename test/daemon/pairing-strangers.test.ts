import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { joinGatehouse } from "../../src/client/index.ts";
import { type Clock, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { Daemon } from "../../src/daemon/index.ts";
import { RawQuicClient } from "../support/raw-quic-client.ts";
import { TlsFixtures } from "../support/tls-fixtures.ts";

const PLACES = 32;
/** Deadlines come twenty times sooner. */
const hasty: Clock = {
  now: () => systemClock.now(),
  monotonicMs: () => systemClock.monotonicMs(),
  setTimer: (delayMs, run) => systemClock.setTimer(delayMs / 20, run),
};

let dir: string;
let fixtures: TlsFixtures;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "gatehouse-strangers-"));
  fixtures = new TlsFixtures();
});
afterEach(() => {
  fixtures[Symbol.dispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe("strangers at a pairing window", () => {
  it("who say nothing are sent away, and the one who was meant gets in", async () => {
    await using daemon = await Daemon.start({
      ...{ home: join(dir, "a"), keyDir: join(dir, "keys"), version: "0.0.0", pid: 1 },
      ...{ init: { name: "kitchen" }, listen: [{ host: "127.0.0.1", port: 0 }] },
      ...{ clock: hasty, random: systemRandom, logger: silentLogger },
    });
    const window = daemon.openPairing({ ttlMs: 600_000 }, new AbortController().signal);
    const events = window[Symbol.asyncIterator]();
    const { value } = await events.next();
    if (value?.kind !== "opened" || value.code === undefined) throw new Error("no window");

    const [host = "", port = ""] = daemon.ready.quic.split(":");
    const identity = fixtures.selfSigned("stranger");
    const options = { remote: { host, port: Number(port) }, identity, alpn: "gatehouse-pair/1" };
    const strangers = await Promise.all(
      Array.from({ length: PLACES }, async () => await RawQuicClient.open(options)),
    );
    await Promise.all(strangers.map((stranger) => stranger.until(() => stranger.connection.isEstablished())));
    await Promise.all(
      strangers.map((stranger) => stranger.until(() => stranger.connection.peerError() !== null)),
    );

    const joiner = { home: join(dir, "b"), name: "phone", kind: "test", platform: "test" };
    await joinGatehouse({ ...joiner, target: daemon.ready.quic, code: value.code });
    expect((await events.next()).value).toMatchObject({ kind: "paired", device: { name: "phone" } });
    for (const stranger of strangers) stranger[Symbol.dispose]();
  });
});
