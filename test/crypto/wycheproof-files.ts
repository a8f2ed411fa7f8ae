/** Wycheproof's JSON files, schemas of `testvectors/` (version 0) and `testvectors_v1/`, as vectors to judge. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fromHex } from "../../src/core/index.ts";

type Bytes<Name extends string> = { readonly [name in Name]: Uint8Array };

export type Claim =
  | ({ readonly kind: "aead" } & Bytes<"key" | "iv" | "aad" | "msg" | "ct" | "tag">)
  | ({ readonly kind: "hkdf"; readonly size: number } & Bytes<"ikm" | "salt" | "info" | "okm">)
  | ({ readonly kind: "eddsa"; readonly sk: Uint8Array | undefined } & Bytes<"pk" | "msg" | "sig">)
  | ({ readonly kind: "xdh" } & Bytes<"private" | "public" | "shared">);

export interface WycheproofVector {
  /** Folder, file and `tcId`: for people. */
  readonly name: string;
  readonly result: "valid" | "invalid" | "acceptable";
  readonly flags: readonly string[];
  readonly claim: Claim;
}

type Json = Readonly<Record<string, unknown>>;

interface FileKind {
  readonly algorithm: string;
  readonly schema: string;
  readonly read: (test: Json, group: Json) => Claim;
}

const FOLDERS = ["testvectors", "testvectors_v1"];

const AEAD = { algorithm: "CHACHA20-POLY1305", schema: "aead_test_schema", read: readAead };
const HKDF = { algorithm: "HKDF-SHA-256", schema: "hkdf_test_schema", read: readHkdf };
const EDDSA = { algorithm: "EDDSA", schema: "eddsa_verify_schema", read: readEddsa };
const XDH = { algorithm: "XDH", schema: "xdh_comp_schema", read: readXdh };

const FILES: ReadonlyMap<string, FileKind> = new Map([
  ["chacha20_poly1305_test.json", AEAD],
  ["hkdf_sha256_test.json", HKDF],
  ["eddsa_test.json", EDDSA],
  ["ed25519_test.json", EDDSA],
  ["x25519_test.json", XDH],
]);

/**
 * Every vector for us under `dir`, a checkout of the repository.
 * @throws Error when a file is not as its schema says, holds fewer than it says, or an algorithm has no file at all.
 */
export async function readWycheproof(dir: string): Promise<readonly WycheproofVector[]> {
  const found = await Promise.all(FOLDERS.map((folder) => readFolder(dir, folder)));
  const vectors = found.flat();
  for (const kind of ["aead", "hkdf", "eddsa", "xdh"]) {
    if (!vectors.some(({ claim }) => claim.kind === kind)) throw new Error(`${dir}: no vectors of ${kind}`);
  }
  return vectors;
}

async function readFolder(dir: string, folder: string): Promise<readonly WycheproofVector[]> {
  if (!(await readdir(dir)).includes(folder)) return [];
  const names = (await readdir(join(dir, folder))).filter((name) => FILES.has(name)).sort();
  const files = await Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(dir, folder, name), "utf8");
      return parseWycheproof(`${folder}/${name}`, JSON.parse(text));
    }),
  );
  return files.flat();
}

/** `path` ends in the file's name, which says what is in it. @throws as `readWycheproof` */
export function parseWycheproof(path: string, file: unknown): readonly WycheproofVector[] {
  const kind = FILES.get(path.slice(path.lastIndexOf("/") + 1));
  const json = record(file, path);
  const schemas = [`${kind?.schema}.json`, `${kind?.schema}_v1.json`];
  if (kind === undefined || json["algorithm"] !== kind.algorithm || !schemas.includes(text(json, "schema"))) {
    throw new Error(`${path}: no rule for ${String(json["algorithm"])} by ${String(json["schema"])}`);
  }
  const vectors = list(json, "testGroups").flatMap((group) =>
    list(group, "tests").map((test) => vectorOf(path, test, kind.read(test, group))),
  );
  if (vectors.length !== json["numberOfTests"]) {
    throw new Error(`${path}: ${vectors.length} vectors, not ${String(json["numberOfTests"])}`);
  }
  return vectors;
}

function vectorOf(path: string, test: Json, claim: Claim): WycheproofVector {
  const name = `${path} ${String(test["tcId"])}`;
  const result = text(test, "result");
  if (result !== "valid" && result !== "invalid" && result !== "acceptable") {
    throw new Error(`${name}: no rule for the result ${result}`);
  }
  const flags = test["flags"];
  if (!Array.isArray(flags)) throw new Error(`${name}: flags is no list`);
  return { name, result, flags: flags.map(String), claim };
}

function readAead(test: Json): Claim {
  return { kind: "aead", ...bytesOf(test, ["key", "iv", "aad", "msg", "ct", "tag"]) };
}

function readHkdf(test: Json): Claim {
  const { size } = test;
  if (typeof size !== "number") throw new Error("size is no number");
  return { kind: "hkdf", size, ...bytesOf(test, ["ikm", "salt", "info", "okm"]) };
}

function readEddsa(test: Json, group: Json): Claim {
  // Version 0 gives the secret key as well.
  const key = record(group["publicKey"] ?? group["key"], "publicKey");
  checkCurve(key, "edwards25519");
  const sk = key["sk"] === undefined ? undefined : bytes(key, "sk");
  return { kind: "eddsa", sk, pk: bytes(key, "pk"), ...bytesOf(test, ["msg", "sig"]) };
}

function readXdh(test: Json, group: Json): Claim {
  checkCurve(group, "curve25519");
  return { kind: "xdh", ...bytesOf(test, ["private", "public", "shared"]) };
}

function checkCurve(json: Json, curve: string): void {
  if (json["curve"] !== curve) throw new Error(`no rule for the curve ${String(json["curve"])}`);
}

function bytesOf<Name extends string>(json: Json, names: readonly Name[]): Bytes<Name> {
  return Object.fromEntries(names.map((name) => [name, bytes(json, name)])) as Bytes<Name>;
}

function bytes(json: Json, name: string): Uint8Array {
  return fromHex(text(json, name));
}

function text(json: Json, name: string): string {
  const value = json[name];
  if (typeof value !== "string") throw new Error(`${name} is no text`);
  return value;
}

function list(json: Json, name: string): readonly Json[] {
  const value = json[name];
  if (!Array.isArray(value)) throw new Error(`${name} is no list`);
  return value.map((item) => record(item, name));
}

function record(value: unknown, name: string): Json {
  if (typeof value !== "object" || value === null) throw new Error(`${name} is no record`);
  return value as Json;
}
