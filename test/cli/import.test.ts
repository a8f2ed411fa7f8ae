import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseEnv } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseDotenv } from "../../src/cli/dotenv.ts";
import { planImport } from "../../src/cli/import-entries.ts";
import { parseJsonValues } from "../../src/cli/json-values.ts";
import { LIMITS, Resources } from "../../src/core/index.ts";
import { parseSecretPath } from "../../src/vault/index.ts";
import { type Daemon, Install } from "../support/gatehouse-process.ts";
import { type PairedDevice, pairDevice } from "../support/paired-device.ts";

const CANARY = "canary-77d0a1-value";

const env = (text: string) =>
  Object.fromEntries(parseDotenv(text).values.map(({ keys, value }) => [keys[0], value]));
function failureOf(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("nothing was thrown");
}

describe("a .env file", () => {
  it.each([
    ["A=b", { A: "b" }],
    ["A=b\nC=d\n", { A: "b", C: "d" }],
    ["export A=b\n  export\tC = d  ", { A: "b", C: "d" }],
    ["# A=b\n\n   # c\nA=b # c\r\nC= # empty\n", { A: "b", C: "" }],
    ["A=\nB=''\nC=\"\"", { A: "", B: "", C: "" }],
    ["A='b # $c \\n'", { A: "b # $c \\n" }],
    ['A="b # c" # d', { A: "b # c" }],
    ['A="one\ntwo\n"\nB=c', { A: "one\ntwo\n", B: "c" }],
    ["A='one\n# two'\nB=c", { A: "one\n# two", B: "c" }],
    [String.raw`A="a\nb\t\"\\\$\x"`, { A: 'a\nb\t"\\$\\x' }],
    ['A=it\'s b=c "d"', { A: 'it\'s b=c "d"' }],
    ["A=a\\nb", { A: "a\\nb" }],
    ["a.b-c_9=1", { "a.b-c_9": "1" }],
    ["A=$\x7bB}$C", { A: "$\x7bB}$C" }],
  ])("%j is read as it is meant", (text, expected) => {
    expect(env(text)).toEqual(expected);
  });

  it.each([
    ["A=1\nwhat is this", 2],
    ["A=1\n=2", 2],
    ["\n\n9A=2", 3],
    ['A="1\n2"\nB', 3],
    ['A=1\nB="2\nC=3\n', 2],
    ["A='", 1],
    ['A="b"c', 1],
    ["A=b#c", 1],
    ["A=#c", 1],
    ["export A", 1],
    ["A B=c", 1],
  ])("%j is refused, and the line named", (text, line) => {
    expect(failureOf(() => parseDotenv(text))).toMatchObject({
      code: "usage.bad-argument",
      message: expect.stringMatching(new RegExp(`^line ${line} `)),
    });
  });

  it("that is refused is not quoted", () => {
    for (const text of [CANARY, `A="${CANARY}`, `A="b"${CANARY}`, `A=${CANARY}#`]) {
      const { message, stack } = failureOf(() => parseDotenv(text));
      expect([message.includes(CANARY), stack?.includes(CANARY)]).toEqual([false, false]);
    }
  });

  it("warns of what looks like a reference, and stores it as it stands", () => {
    const { values, warnings } = parseDotenv('A=$B\nC=\'$D\'\nE="x\n$\x7bF}"\nG="\\$H"\nI=5$\nJ=$(k)');
    expect(warnings.map(({ line }) => line)).toEqual([1, 3, 7]);
    expect(values.map(({ value }) => value)).toEqual(["$B", "$D", "x\n$\x7bF}", "$H", "5$", "$(k)"]);
  });

  it("of plain lines is read as Node reads it", () => {
    const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/);
    const plain = fc.stringMatching(/^[A-Za-z0-9+/=.:@ -]{0,20}$/);
    const quoted = fc.stringMatching(/^[A-Za-z0-9#$' \n-]{0,20}$/).map((text) => `"${text}"`);
    fc.assert(
      fc.property(fc.dictionary(name, fc.oneof(plain, quoted)), (content) => {
        const text = Object.entries(content).map(([key, value]) => `${key}=${value}\n`);
        expect(env(text.join(""))).toEqual({ ...parseEnv(text.join("")) });
      }),
    );
  });

  it("gives back any text that was quoted for it, and knows its line", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme" })), (texts) => {
        const wanted = texts.map((text) => text.replaceAll("\r\n", "\n"));
        const quote = (text: string) => `"${text.replace(/[\\"$]/g, "\\$&")}"`;
        const source = wanted.map((text, index) => `A${index}=${quote(text)} # c`).join("\n");
        const { values, warnings } = parseDotenv(source);
        expect([values.map(({ value }) => value), warnings]).toEqual([wanted, []]);
        const lines = source.split("\n");
        for (const { keys, line } of values) expect(lines[line - 1]).toContain(`${keys[0]}=`);
      }),
    );
  });

  it("cut anywhere is read or refused by a typed error", () => {
    const text = "A=1 # c\nexport B=\"x\\n\ny\" # d\nC='$\n'\nD = e\n";
    for (let length = 0; length <= text.length; length += 1) {
      let code: unknown = "read";
      try {
        parseDotenv(text.slice(0, length));
      } catch (error) {
        code = error instanceof Error && "code" in error ? error.code : error;
      }
      expect(["read", "usage.bad-argument"]).toContain(code);
    }
  });
});

describe("a JSON file", () => {
  it("has its text as it is, numbers and booleans as they are written, and objects as folders", () => {
    const text = `{ "a": "é\\n\\u0041", "b": {"c": 12345678901234567890, "d": {"e": true}, "f": -1.50e3},
      "g": {}, "h": false, "__proto__": "p" }`;
    expect(parseJsonValues(text).map(({ keys, value, line }) => [keys.join("/"), value, line])).toEqual([
      ...[
        ["a", "é\nA", 1],
        ["b/c", "12345678901234567890", 1],
        ["b/d/e", "true", 1],
        ["b/f", "-1.50e3", 1],
      ],
      ...[
        ["h", "false", 2],
        ["__proto__", "p", 2],
      ],
    ]);
  });

  it.each([
    ['{"a": 1,\n"b": null}', /^line 2 has null for b:/],
    ['{"a": {\n"b": [1]}}', /^line 2 has an array for a\.b:/],
    ["[1]", /not an object/],
    ["3", /not an object/],
    ["null", /not an object/],
    ['{"a": 1,}', /^the file is not JSON/],
    ["", /^the file is not JSON/],
  ])("%j is refused", (text, message) => {
    expect(failureOf(() => parseJsonValues(text))).toMatchObject({
      code: "usage.bad-argument",
      message: expect.stringMatching(message),
    });
  });

  it("that is refused is not quoted, although JSON.parse would", () => {
    for (const text of [`{"a": ${CANARY}}`, `{"a": "${CANARY}`, `"${CANARY}"`, `{"a": ["${CANARY}"]}`]) {
      const failure = failureOf(() => parseJsonValues(text));
      expect(`${failure.stack} ${String(failure.cause)}`).not.toContain(CANARY);
    }
  });

  it("of any shape that can be stored gives what JSON.parse gives", () => {
    const leaf = fc.oneof(fc.string({ unit: "grapheme" }), fc.integer(), fc.boolean());
    const { tree } = fc.letrec<{ tree: unknown; node: unknown }>((tie) => ({
      tree: fc.dictionary(fc.string(), tie("node"), { maxKeys: 4, noNullPrototype: true }),
      node: fc.oneof({ depthSize: "small" }, leaf, tie("tree")),
    }));
    const flat = (
      value: unknown,
      keys: readonly string[],
    ): readonly (readonly [readonly string[], string])[] =>
      typeof value === "object" && value !== null
        ? Object.entries(value).flatMap(([key, inner]) => flat(inner, [...keys, key]))
        : [[keys, String(value)]];
    fc.assert(
      fc.property(tree, fc.constantFrom(undefined, 2), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        const found = parseJsonValues(text).map(({ keys, value: stored }) => [keys, stored]);
        expect(found).toEqual(flat(JSON.parse(text), []));
      }),
    );
  });
});

describe("the paths of an import", () => {
  it("are those that the vault itself takes", () => {
    const isTaken = (work: () => unknown) => {
      try {
        work();
        return true;
      } catch {
        return false;
      }
    };
    const unit = fc.constantFrom("a", "Z", "9", ".", "_", "-", "/", " ", "é", "\0");
    const long = fc.integer({ min: 100, max: 600 }).map((count) => "a".repeat(count));
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit, maxLength: 6 }), long),
        fc.array(long, { maxLength: 6 }),
        (key, folders) => {
          const prefix = folders.map((folder) => folder.slice(0, 128)).join("/");
          const path = prefix === "" ? key : `${prefix}/${key}`;
          const isPlanned = isTaken(() => planImport(JSON.stringify({ [key]: "v" }), "json", prefix));
          expect(isPlanned).toBe(!key.includes("/") && isTaken(() => parseSecretPath(path)));
        },
      ),
    );
  });

  it.each([
    ["A=1\nB=2\nA=3", "env", "", "usage.bad-argument", "lines 1 and 3 both give a value for A"],
    ['{"a":\n1,\n"a": 2}', "json", "p", "usage.bad-argument", "lines 2 and 3 both give a value for p/a"],
    ['{"a": 1, "b/c": 2}', "json", "", "vault.bad-path", "line 1 makes no secret's path"],
    ['{"..": 2}', "json", "", "vault.bad-path", "line 1 makes no secret's path"],
    ["A=1", "env", "a//b", "vault.bad-path", "--prefix is not a folder's path"],
    ["A=1", "env", "a/", "vault.bad-path", "--prefix is not a folder's path"],
    ["# nothing", "env", "", "usage.bad-argument", "there is nothing in the file"],
    [`A=1\nB=${"x".repeat(LIMITS.secretValueBytes + 1)}`, "env", "", "vault.too-large", "line 2"],
  ] as const)("cannot come from %#", (text, format, prefix, code, message) => {
    expect(failureOf(() => planImport(text, format, prefix))).toMatchObject({
      ...{ code, message: expect.stringContaining(message) },
    });
  });
});

describe("vault import", () => {
  const resources = new Resources();
  let owner: Install;
  let daemon: Daemon;
  let lamp: PairedDevice;
  const printed: string[] = [];

  beforeAll(async () => {
    owner = resources.use(await Install.create());
    daemon = resources.use(await owner.serve(["--init", "--open-pairing", "--name", "hall"]));
    lamp = resources.use(await pairDevice(daemon, "lamp"));
  });
  afterAll(() => resources[Symbol.asyncDispose]());

  const importing = async (text: string, words: readonly string[], install = owner) => {
    const result = await install.run(["vault", "import", "-", "--json", ...words], text);
    printed.push(result.stdout.toString(), result.stderr);
    return result;
  };
  const stored = async (path: string) => (await owner.run(["vault", "get", path])).stdout.toString();
  const paths = async (prefix: string) => {
    const { secrets } = await owner.json(["vault", "ls", prefix]);
    return (secrets as readonly { readonly path: string }[]).map(({ path }) => path);
  };

  it("stores every value of a .env file under its folder, and warns of references", async () => {
    const file = join(owner.root, "app.env");
    await writeFile(file, `\ufeffexport A=${CANARY}\nB="one\n$two"\n`);
    expect(await owner.json(["vault", "import", file, "--prefix", "env"])).toEqual({
      imported: [
        { path: "env/A", version: 1 },
        { path: "env/B", version: 1 },
      ],
      ...{ skipped: [], failed: [], isDryRun: false },
      warnings: [{ line: 2, message: expect.stringContaining("B") }],
    });
    expect([await stored("env/A"), await stored("env/B")]).toEqual([CANARY, "one\n$two"]);
  });

  it("says in words what it did, and that the file still holds the values", async () => {
    const file = join(owner.root, "app.json");
    await writeFile(file, JSON.stringify({ db: { user: "u", password: CANARY, port: 5432 } }));
    const dry = await owner.run(["vault", "import", file, "--dry-run"]);
    expect(dry.stdout.toString()).toBe("would store 3 secrets\n  db/user\n  db/password\n  db/port\n");
    expect(await paths("db")).toEqual([]);
    const { stdout, stderr } = await owner.run(["vault", "import", file]);
    expect([stdout.toString(), stderr]).toEqual([
      "stored 3 secrets\n",
      `${file} still holds the values for everybody who may read it\n`,
    ]);
    expect([await stored("db/password"), await stored("db/port")]).toEqual([CANARY, "5432"]);
  });

  it("stores nothing when one path has a value, unless told to leave or to overwrite those", async () => {
    await owner.json(["vault", "put", "mix/B"], "before");
    const text = `A=1\nB=${CANARY}\n`;
    const refused = await importing(text, ["--prefix", "mix"]);
    expect([refused.exitCode, refused.document]).toMatchObject([
      7,
      { error: { code: "vault.version-conflict", message: expect.stringContaining("mix/B") } },
    ]);
    expect(await paths("mix")).toEqual(["mix/B"]);
    expect((await importing(text, ["--prefix", "mix", "--if-absent"])).document).toMatchObject({
      ...{ imported: [{ path: "mix/A", version: 1 }], skipped: ["mix/B"], failed: [] },
    });
    expect(await stored("mix/B")).toBe("before");
    expect((await importing(text, ["--prefix", "mix", "--overwrite"])).document).toMatchObject({
      imported: expect.arrayContaining([
        { path: "mix/A", version: 2 },
        { path: "mix/B", version: 2 },
      ]),
    });
    expect(await stored("mix/B")).toBe(CANARY);
    expect(await importing(text, ["--overwrite", "--if-absent"])).toMatchObject({ exitCode: 2 });
  });

  it("by two at once stores each path once", async () => {
    const text = Array.from({ length: 120 }, (_, index) => `K${index}=${CANARY}-${index}`).join("\n");
    const both = await Promise.all([
      importing(text, ["--prefix", "race", "--if-absent"]),
      importing(text, ["--prefix", "race", "--if-absent"]),
    ]);
    const count = (key: "imported" | "skipped") =>
      both.reduce((sum, { document }) => sum + (document[key] as readonly unknown[]).length, 0);
    expect([count("imported"), count("skipped")]).toEqual([120, 120]);
    const { secrets } = await owner.json(["vault", "ls", "race"]);
    expect((secrets as readonly { readonly version: number }[]).every(({ version }) => version === 1)).toBe(
      true,
    );
  });

  it("tells what was denied, path by path, and stores the rest", async () => {
    const own = `devices/${lamp.id}`;
    const text = JSON.stringify({ shared: { x: CANARY }, devices: { [lamp.id]: { y: CANARY } } });
    const { exitCode, document } = await importing(text, ["--format", "json"], lamp.install);
    expect([exitCode, document]).toMatchObject([
      4,
      {
        imported: [{ path: `${own}/y`, version: 1 }],
        failed: [{ path: "shared/x", code: "authz.denied", message: expect.any(String) }],
      },
    ]);
  });

  it.each([
    ["a path that cannot be, before anything is stored", '{"a": 1,\n"b c": 2}', "vault.bad-path", 2],
    ["what is not JSON", CANARY, "usage.bad-argument", 2],
    ["what is not UTF-8", Buffer.from([0x7b, 0xff]), "usage.bad-argument", 2],
  ])("refuses %s", async (_, text, code, exit) => {
    const words = ["vault", "import", "-", "--format", "json", "--prefix", "bad"];
    expect(await owner.outcome(words, text)).toEqual({ exit, code });
    expect(await paths("bad")).toEqual([]);
  });

  it("exits 3 for a file that is not there", async () => {
    const missing = join(owner.root, "none.env");
    expect(await owner.outcome(["vault", "import", missing])).toEqual({ exit: 3, code: "file.not-found" });
  });

  it("printed no value anywhere, and the daemon said none", () => {
    expect(printed.join("")).not.toContain(CANARY);
    expect(daemon.stderr).not.toContain(CANARY);
  });
});
