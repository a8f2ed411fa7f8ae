import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Install } from "../support/gatehouse-process.ts";

const DEVICE_ID = /^[a-z2-7]{56}$/;
const FINGERPRINT = /^[0-9a-f]{64}$/;

describe("init and serve", () => {
  let install: Install;
  beforeEach(async () => {
    install = await Install.create();
  });
  afterEach(() => install[Symbol.asyncDispose]());

  it("serve --json says that it is ready, then shows the window, and exits 0 when it is told to stop", async () => {
    await using daemon = await install.serve(["--init", "--open-pairing", "--name", "kitchen"]);
    expect(await daemon.event("ready")).toMatchObject({
      quic: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      deviceId: expect.stringMatching(DEVICE_ID),
      fingerprint: expect.stringMatching(FINGERPRINT),
      name: "kitchen",
    });
    expect(await daemon.event("pairing-open")).toMatchObject({
      code: expect.stringMatching(/^\d{6}$/),
      uri: expect.stringMatching(/^gatehouse:\/\//),
      expiresAt: expect.any(Number),
    });
    expect(await daemon.stop("SIGTERM")).toBe(0);
  });

  it("serve wants a home, init makes it once, and the daemon keeps others out of it", async () => {
    expect(await install.outcome(["serve"])).toEqual({ exit: 3, code: "home.not-initialized" });
    expect(await install.json(["init", "--name", "kitchen"])).toMatchObject({
      ...{ name: "kitchen", deviceId: expect.stringMatching(DEVICE_ID) },
      fingerprint: expect.stringMatching(FINGERPRINT),
    });
    expect(await install.outcome(["init"])).toEqual({ exit: 7, code: "home.already-initialized" });
    await using daemon = await install.serve();
    expect(await install.outcome(["serve", "--listen", "127.0.0.1:0"])).toEqual({
      exit: 7,
      code: "home.in-use",
    });
    expect(daemon.isRunning).toBe(true);
  });

  it("serve takes good addresses only", async () => {
    for (const listen of [["nowhere:x"], ["127.0.0.1:0", "127.0.0.1:65536"]]) {
      const words = listen.flatMap((address) => ["--listen", address]);
      const refused = { exit: 2, code: "usage.bad-argument" };
      expect(await install.outcome(["serve", ...words])).toEqual(refused);
    }
  });
});
