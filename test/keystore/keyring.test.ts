import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { systemRandom } from "../../src/core/index.ts";
import { type KeyProvider, keyringProvider } from "../../src/keystore/index.ts";
import { ID, keyHex, Place, shown } from "./support.ts";

/** Keeps one secret for each list of attributes in a file, as libsecret's tool does in the keyring. */
const SECRET_TOOL = [
  'echo "$*" >> "$STORE/arguments"',
  'verb=$1; shift; case $1 in --label=*) shift;; esac; item="$STORE/$(echo "$*" | tr " " -)"',
  'case $verb in store) cat > "$item";; lookup) [ -f "$item" ] || exit 1; cat "$item";; esac',
];

/** `security`, as far as it is used: commands on standard input with -i, and always a good ending then. */
const SECURITY = [
  'echo "$*" >> "$STORE/arguments"',
  'if [ "$1" = -i ]; then',
  '  read -r verb s service a account w secret; [ "$verb" = add-generic-password ] || exit 0',
  '  printf "%s\\n" "$secret" > "$STORE/$service-$account"; exit 0',
  "fi",
  '[ "$1" = find-generic-password ] || exit 2',
  'cat "$STORE/$3-$5" 2>/dev/null || exit 44',
];

function providerIn(place: Place, platform: NodeJS.Platform = "linux"): KeyProvider {
  const environment = { PATH: `${place.root}:/usr/bin:/bin`, STORE: place.root };
  return keyringProvider({ random: systemRandom, environment, platform });
}

const NONE = new Uint8Array();

describe.each([
  ["linux", "secret-tool", SECRET_TOOL],
  ["darwin", "security", SECURITY],
] as const)("a keyring on %s", (platform, tool, script) => {
  it("gives back the key it was given, which never was an argument", async () => {
    await using place = await Place.make();
    await place.program(tool, ...script);
    const provider = providerIn(place, platform);
    const { key, parameters } = await provider.create(ID);
    expect(keyHex(await provider.load(ID, parameters))).toBe(keyHex(key));
    expect(parameters).toHaveLength(0);
    const seen = await readFile(place.path("arguments"), "utf8");
    expect(seen).toContain(ID);
    expect(seen).not.toContain(keyHex(key));
    expect((await place.contents()).includes(keyHex(key))).toBe(true);
  });

  it("has no key of another name, and replaces none", async () => {
    await using place = await Place.make();
    await place.program(tool, ...script);
    const provider = providerIn(place, platform);
    const { key } = await provider.create(ID);
    await expect(provider.load("other", NONE)).rejects.toMatchObject({ code: "key.missing", exitCode: 8 });
    await expect(provider.create(ID)).rejects.toMatchObject({ code: "file.exists" });
    expect(keyHex(await provider.load(ID, NONE))).toBe(keyHex(key));
  });

  it("that keeps nothing of what it was told makes no key", async () => {
    await using place = await Place.make();
    await place.program(tool, "case $1 in lookup) exit 1;; find*) exit 44;; *) cat > /dev/null;; esac");
    await expect(providerIn(place, platform).create(ID)).rejects.toMatchObject({
      code: "key.missing",
      message: "the keyring did not keep the key",
    });
  });

  it("whose tool is not installed is unsupported, and says what to do", async () => {
    await using place = await Place.make();
    const provider = keyringProvider({ random: systemRandom, platform, environment: { PATH: place.root } });
    for (const work of [() => provider.create(ID), () => provider.load(ID, NONE)]) {
      await expect(work()).rejects.toMatchObject({
        code: "key.unsupported",
        exitCode: 2,
        message: `the program ${tool} is not there`,
        hint: expect.stringContaining("keyfile"),
      });
    }
  });
});

describe("a keyring", () => {
  it("out of reach is not taken for an empty one, and what it says stays unsaid", async () => {
    await using place = await Place.make();
    await place.program("secret-tool", "echo canary-words >&2; exit 1");
    const provider = providerIn(place);
    await expect(provider.create(ID)).rejects.toMatchObject({ message: "the keyring gave no answer" });
    await expect(provider.load(ID, NONE)).rejects.toMatchObject({
      code: "key.missing",
      message: "the keyring gave no answer",
      hint: expect.stringContaining("unlock"),
    });
    expect(await shown(provider.load(ID, NONE))).not.toContain("canary");
  });

  it("that holds something else under the key's name gives no key", async () => {
    await using place = await Place.make();
    for (const output of ["printf hunter2", "exit 0", "head -c 100000 /dev/zero"]) {
      await place.program("secret-tool", output);
      await expect(providerIn(place).load(ID, NONE)).rejects.toMatchObject({
        code: "key.wrong",
        exitCode: 8,
      });
    }
  });

  it("is unknown on other systems", async () => {
    const provider = keyringProvider({ random: systemRandom, platform: "aix" });
    await expect(provider.load(ID, NONE)).rejects.toMatchObject({ code: "key.unsupported" });
  });
});
