import { afterEach, describe, expect, it } from "vitest";
import { METHODS } from "../../src/gen/index.ts";
import { bytes, World } from "./support.ts";

const { Keys, Vault } = METHODS;

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

describe("Keys", () => {
  it("tells where the vault's keys are kept, to owners only", async () => {
    world = await World.open();
    const { slots } = await world.call("owner", Keys.List, {});
    expect(slots).toMatchObject([{ number: 1, kind: "key-file", recipient: "" }]);
    await expect(world.call("phone", Keys.List, {})).rejects.toMatchObject({ code: "authz.denied" });
  });

  it("rotates while others read, tells how far it is, and the values stay", async () => {
    world = await World.open();
    for (let index = 0; index < 70; index += 1) {
      await world.call("owner", Vault.Put, { path: `many/${index}`, value: bytes(`value ${index}`) });
    }
    const begun = await world.call("owner", Keys.Rotate, { kind: "deks" });
    expect(begun).toMatchObject({ kind: "deks", state: "running", done: 0 });
    await expect(world.call("owner", Keys.Rotate, { kind: "kek" })).rejects.toMatchObject({
      code: "vault.rotating",
    });
    const states: string[] = [];
    for await (const { state } of world.stream("owner", Keys.Watch, {})) states.push(state);
    expect(states.at(-1)).toBe("done");
    const { value } = await world.call("owner", Vault.Get, { path: "many/69" });
    expect(Buffer.from(value).toString()).toBe("value 69");
    expect(await world.call("owner", Keys.Abort, {})).toMatchObject({ isAborted: false });
  });

  it("ends a rotation once for a request that comes again under its id, and says so both times", async () => {
    let running = 1;
    world = await World.open(({ keys }) => ({
      keys: {
        ...keys,
        abort: () => {
          running -= 1;
          return Promise.resolve(running === 0);
        },
      },
    }));
    const abort = (first: number) =>
      world.call("owner", Keys.Abort, {}, { requestId: new Uint8Array(16).fill(first) });
    const answers = [...(await Promise.all([abort(1), abort(1)])), await abort(1)];
    expect(answers.map(({ isAborted }) => isAborted)).toEqual([true, true, true]);
    expect(await abort(2)).toMatchObject({ isAborted: false });
    expect(running).toBe(-1);
  });

  it("refuses a rotation of something else", async () => {
    world = await World.open();
    await expect(world.call("owner", Keys.Rotate, { kind: "root" })).rejects.toMatchObject({
      code: "usage.bad-argument",
    });
  });
});
