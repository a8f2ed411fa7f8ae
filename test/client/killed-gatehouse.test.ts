import { describe, expect, it } from "vitest";
import { connect, METHODS } from "../../src/client/index.ts";
import { Install } from "../support/gatehouse-process.ts";

describe("a client of a gatehouse that is killed", () => {
  it("answers its next call once the gatehouse is back, changes that were under way included", async () => {
    await using install = await Install.create();
    await using first = await install.serve(["--init"]);
    await using client = await connect({ home: install.home });
    const put = (value: string) =>
      client.call(METHODS.Vault.Put, { path: "a", value: Buffer.from(value) }, { timeoutMs: 30_000 });
    expect((await put("1")).version).toBe(1);
    await first.stop("SIGKILL");
    // Sent into the void: whether before or after the new one listens, nobody there knows the connection.
    const changing = put("2");
    await using _second = await install.serve([], first.address);
    expect((await changing).version).toBe(2);
    expect((await client.call(METHODS.Vault.Get, { path: "a" })).value).toEqual(
      new Uint8Array(Buffer.from("2")),
    );
  }, 60_000);

  it("waits for no idle timer when it had nothing under way", async () => {
    await using install = await Install.create();
    await using first = await install.serve(["--init"]);
    await using client = await connect({ home: install.home });
    await client.call(METHODS.Health.Ping, {});
    await first.stop("SIGKILL");
    await using _second = await install.serve([], first.address);
    const startedMs = performance.now();
    await client.call(METHODS.Health.Ping, {});
    expect(performance.now() - startedMs).toBeLessThan(8_000);
  }, 60_000);
});
