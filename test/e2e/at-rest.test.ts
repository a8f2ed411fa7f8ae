import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Resources } from "../../src/core/index.ts";
import { type Daemon, Install } from "../support/gatehouse-process.ts";

const NAME = "quetzal-orrery-4711";
const VALUE = "tungsten-marmalade-0815-perihelion";

const resources = new Resources();
let install: Install;
let daemon: Daemon;

interface Needle {
  readonly form: string;
  readonly bytes: Buffer;
}

/** How a text may lie in a file without being hidden: as it is, as UTF-16, as hex, and as base64 at any alignment. */
function needles(text: string): readonly Needle[] {
  const raw = Buffer.from(text);
  const base64 = [0, 1, 2].flatMap((shift) => {
    // The characters that the neighbouring bytes have a part in are left out.
    const encoded = Buffer.concat([Buffer.alloc(shift), raw])
      .toString("base64")
      .replace(/=+$/, "");
    const inner = encoded.slice(shift === 0 ? 0 : shift + 1, -1);
    return [inner, inner.replaceAll("+", "-").replaceAll("/", "_")];
  });
  return [
    { form: "raw", bytes: raw },
    { form: "utf-16", bytes: Buffer.from(text, "utf16le") },
    { form: "hex", bytes: Buffer.from(raw.toString("hex")) },
    { form: "HEX", bytes: Buffer.from(raw.toString("hex").toUpperCase()) },
    ...base64.map((encoded) => ({ form: "base64", bytes: Buffer.from(encoded) })),
  ];
}

/** Which of the texts can be found in which file under `root`; and how many files were looked at. */
async function findings(root: string): Promise<{ found: readonly string[]; looked: number }> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  const found: string[] = [];
  for (const file of files) {
    const bytes = await readFile(file);
    for (const text of [NAME, VALUE]) {
      for (const needle of needles(text)) {
        if (bytes.includes(needle.bytes)) found.push(`${text} as ${needle.form} in ${file}`);
      }
      if (file.includes(text)) found.push(`${text} in the name of ${file}`);
    }
  }
  return { found, looked: files.length };
}

beforeAll(async () => {
  install = resources.use(await Install.create());
  daemon = resources.use(await install.serve(["--init"]));
  await install.json(["vault", "put", `shared/${NAME}`], VALUE);
  await install.json(["vault", "put", `${NAME}/inner`], `${VALUE} again`);
  await install.json(["vault", "put", `shared/${NAME}`], `newer ${VALUE}`);
  await install.json(["vault", "get", `shared/${NAME}`]);
  await install.json(["vault", "rm", `${NAME}/inner`]);
  await install.outcome(["vault", "get", `${NAME}/inner`]);
});

afterAll(() => resources[Symbol.asyncDispose]());

describe("what lies on the disk", () => {
  it("is found by this search when it lies there in the open", async () => {
    await using open = await Install.create();
    await writeFile(join(open.root, "a"), `x${Buffer.from(`..${VALUE}..`).toString("base64")}`);
    await writeFile(join(open.root, "b"), Buffer.from(NAME, "utf16le"));
    const { found } = await findings(open.root);
    expect(found.some((finding) => finding.startsWith(`${VALUE} as base64`))).toBe(true);
    expect(found.some((finding) => finding.startsWith(`${NAME} as utf-16`))).toBe(true);
  });

  it("shows neither value nor name while the daemon runs", async () => {
    const { found, looked } = await findings(install.root);
    expect(found).toEqual([]);
    expect(looked).toBeGreaterThan(5);
  });

  it("shows neither value nor name after it has ended and started again", async () => {
    expect(await daemon.stop("SIGTERM")).toBe(0);
    expect((await findings(install.root)).found).toEqual([]);
    await using again = await install.serve();
    expect((await install.run(["vault", "get", `shared/${NAME}`])).stdout.toString()).toBe(`newer ${VALUE}`);
    expect(again.isRunning).toBe(true);
    expect((await findings(install.root)).found).toEqual([]);
  });
});
