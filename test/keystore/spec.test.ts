import { readdir } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isGatehouseError, systemRandom, utf8 } from "../../src/core/index.ts";
import { keyProviderFor, parseKeyProviderSpec } from "../../src/keystore/index.ts";
import { ID, KEY, keyHex, Place, shown } from "./support.ts";

describe("where a key is kept", () => {
  it.each([
    ["keyfile", { kind: "key-file", path: undefined }],
    ["keyfile:/media/stick/home.kek", { kind: "key-file", path: "/media/stick/home.kek" }],
    ["keyfile:/with:colon", { kind: "key-file", path: "/with:colon" }],
    ["passphrase", { kind: "passphrase" }],
    ["keyring", { kind: "keyring" }],
    ["systemd", { kind: "systemd" }],
    ["command:pass show gatehouse", { kind: "command", command: ["pass", "show", "gatehouse"] }],
    ["command: op  read x ", { kind: "command", command: ["op", "read", "x"] }],
    ['command:["/bin/key","a b",""]', { kind: "command", command: ["/bin/key", "a b", ""] }],
  ])("can be said as %s", (text, expected) => {
    expect(parseKeyProviderSpec(text)).toEqual(expected);
  });

  it.each([
    ...["", "file", "keyfile:", "KEYFILE", "passphrase:hunter2", "keyring:x", "systemd:x", "command"],
    ...["command:", "command:  ", "command:sh -c 'x y'", 'command:say "x"', "command:a\\ b", "command:[]"],
    ...["command:[1]", 'command:[""]', 'command:["a"', 'command:{"a":1}', "command:[null]", "keyfile:a\0b"],
    ...['command:["a\\u0000b"]', `keyfile:/${"a".repeat(4_096)}`],
  ])("is not understood as %j, with what to say instead", async (text) => {
    const work = (async () => parseKeyProviderSpec(text))();
    await expect(work).rejects.toMatchObject({
      ...{ code: "usage.bad-argument", exitCode: 2, hint: expect.stringContaining("keyfile:PATH") },
    });
    expect(await shown((async () => parseKeyProviderSpec(text))())).not.toContain("hunter2");
  });

  it("is read or refused, whatever the text", () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom("", "command:", "command:[", "keyfile:"), (text, start) => {
        const outcome = outcomeOf(start + text);
        expect(outcome === "read" || isGatehouseError(outcome, "usage.bad-argument")).toBe(true);
      }),
    );
  });
});

describe("the provider for a place", () => {
  it("keeps the keys of vault and identity apart where they lie in named files", async () => {
    await using place = await Place.make();
    const context = contextIn(place);
    const spec = parseKeyProviderSpec(`keyfile:${place.path("home.kek")}`);
    const vault = await keyProviderFor(spec, "vault", context).create(ID);
    const identity = await keyProviderFor(spec, "identity", context).create(ID);
    expect((await readdir(place.root)).sort()).toEqual(["home.kek", "home.kek.identity"]);
    expect(keyHex(vault.key)).not.toBe(keyHex(identity.key));
    const relative = parseKeyProviderSpec("keyfile:home.kek");
    expect(() => keyProviderFor(relative, "vault", context)).toThrow(/not absolute/);
  });

  it("is of the kind that was said, and works", async () => {
    await using place = await Place.make();
    const context = contextIn(place);
    await place.write("gatehouse.kek", KEY);
    for (const text of ["keyfile", "passphrase", "systemd", `command:cat ${place.path("gatehouse.kek")}`]) {
      const spec = parseKeyProviderSpec(text);
      const provider = keyProviderFor(spec, "identity", context);
      expect(provider.kind).toBe(spec.kind);
      const { key, parameters } = await provider.create(ID);
      expect(keyHex(await provider.load(ID, parameters))).toBe(keyHex(key));
    }
    expect(keyProviderFor({ kind: "keyring" }, "vault", context).kind).toBe("keyring");
  });
});

function contextIn(place: Place) {
  return {
    ...{ keyDir: place.path("keys"), credentialsDir: place.root, random: systemRandom },
    ask: async () => utf8("correct horse battery"),
  };
}

function outcomeOf(text: string): unknown {
  try {
    parseKeyProviderSpec(text);
    return "read";
  } catch (failure) {
    return failure;
  }
}
