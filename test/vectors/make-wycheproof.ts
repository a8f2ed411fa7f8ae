/**
 * A small folder of vectors in Wycheproof's format, by us: those of the RFCs and what becomes of them when a bit is
 * flipped. `npx tsx test/vectors/make-wycheproof.ts` writes `test/vectors/wycheproof/`. Nothing of src/ computes here.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { RFC_5869, RFC_7748, RFC_8032, RFC_8439 } from "./rfc.ts";

type Test = Readonly<Record<string, unknown>>;
type Group = Test & { readonly tests: readonly Test[] };

const HASH_BYTES = 32;
/** Coordinates 0, 1, and 1 written as 2^255 − 18, which is not canonical. */
const LOW_ORDER = ["00".repeat(32), `01${"00".repeat(31)}`, `ee${"ff".repeat(30)}7f`] as const;
/** The order of the Ed25519 group, RFC 8032 §5.1. */
const ORDER = (1n << 252n) + 27742317777372353535851937790883648493n;

function flipped(text: string, bit: number): string {
  const bytes = Buffer.from(text, "hex");
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return bytes.toString("hex");
}

const valid = (comment: string, fields: Test): Test => ({
  comment,
  ...fields,
  result: "valid",
  flags: ["Ktv"],
});
const invalid = (comment: string, fields: Test, flag: string): Test => ({
  ...{ comment, ...fields, result: "invalid", flags: [flag] },
});

function aeadGroups(): readonly Group[] {
  const tests = RFC_8439.flatMap(({ name, ...fields }) => [
    valid(`RFC 8439 ${name}`, fields),
    invalid("first bit of the tag", { ...fields, tag: flipped(fields.tag, 0) }, "ModifiedTag"),
    invalid("last bit of the tag", { ...fields, tag: flipped(fields.tag, 127) }, "ModifiedTag"),
    invalid("a bit of the ciphertext", { ...fields, ct: flipped(fields.ct, 9) }, "ModifiedCiphertext"),
    invalid("associated data left out", { ...fields, aad: "" }, "ModifiedAad"),
    invalid("a tag cut short", { ...fields, tag: fields.tag.slice(2) }, "ModifiedTag"),
    invalid("a nonce of 64 bits", { ...fields, iv: fields.iv.slice(8) }, "InvalidNonceSize"),
    invalid("no nonce", { ...fields, iv: "" }, "InvalidNonceSize"),
  ]);
  return [{ type: "AeadTest", keySize: 256, ivSize: 96, tagSize: 128, tests }];
}

function hkdfGroups(): readonly Group[] {
  const tests = RFC_5869.flatMap(({ name, ...fields }) => [
    valid(`RFC 5869 ${name}`, { ...fields, size: fields.okm.length / 2 }),
    valid("less of it", { ...fields, okm: fields.okm.slice(0, 2), size: 1 }),
    invalid("too much of it", { ...fields, okm: "", size: 255 * HASH_BYTES + 1 }, "SizeTooLarge"),
  ]);
  return [{ type: "HkdfTest", tests }];
}

/** The same signature with `order` added to its scalar, which is below it: RFC 8032 §5.1.7 has it refused. */
function malleable(sig: string): string {
  const scalar = BigInt(`0x${Buffer.from(sig.slice(64), "hex").reverse().toString("hex")}`) + ORDER;
  const bytes = Buffer.from(scalar.toString(16).padStart(64, "0"), "hex").reverse();
  return sig.slice(0, 64) + bytes.toString("hex");
}

function eddsaGroups(version: 0 | 1): readonly Group[] {
  return RFC_8032.map(({ name, sk, pk, ...fields }) => {
    const { sig } = fields;
    const tests = [
      valid(`RFC 8032 section 7.1 ${name}`, fields),
      invalid("another message", { ...fields, msg: `${fields.msg}00` }, "InvalidSignature"),
      invalid("a bit of R", { ...fields, sig: flipped(sig, 3) }, "InvalidSignature"),
      invalid("a bit of S", { ...fields, sig: flipped(sig, 300) }, "InvalidSignature"),
      invalid("S and the order", { ...fields, sig: malleable(sig) }, "SignatureMalleability"),
      invalid("cut short", { ...fields, sig: sig.slice(0, 126) }, "TruncatedSignature"),
      invalid("empty", { ...fields, sig: "" }, "TruncatedSignature"),
      invalid("a byte more", { ...fields, sig: `${sig}00` }, "SignatureWithGarbage"),
      invalid("all zeros", { ...fields, sig: "00".repeat(64) }, "InvalidSignature"),
    ];
    const key = {
      type: version === 0 ? "EDDSAKeyPair" : "EDDSAPublicKey",
      curve: "edwards25519",
      keySize: 255,
      pk,
    };
    return { type: "EddsaVerify", ...(version === 0 ? { key: { ...key, sk } } : { publicKey: key }), tests };
  });
}

function xdhGroups(): readonly Group[] {
  const [first] = RFC_7748;
  const refused = LOW_ORDER.map((low) => ({
    ...{ comment: "low order", private: first.private, public: low, shared: "00".repeat(32) },
    ...{ result: "acceptable", flags: ["LowOrderPublic", "ZeroSharedSecret"] },
  }));
  const tests = [
    ...RFC_7748.map(({ name, ...fields }) => valid(`RFC 7748 ${name}`, fields)),
    {
      ...{ comment: "the bit that RFC 7748 section 5 has masked", ...first, name: undefined },
      ...{ public: flipped(first.public, 255), result: "acceptable", flags: ["NonCanonicalPublic"] },
    },
    ...refused,
    invalid(
      "a public key of 31 bytes",
      { ...first, name: undefined, public: first.public.slice(2) },
      "InvalidPublic",
    ),
  ];
  return [{ type: "XdhComp", curve: "curve25519", tests }];
}

function fileOf(algorithm: string, schema: string, groups: readonly Group[]): Test {
  let count = 0;
  const testGroups = groups.map(({ tests, ...group }) => {
    const before = count;
    count += tests.length;
    return { ...group, tests: tests.map((test, index) => ({ tcId: before + index + 1, ...test })) };
  });
  return { algorithm, schema, numberOfTests: count, header: ["Made by make-wycheproof.ts."], testGroups };
}

async function write(folder: string, suffix: string, version: 0 | 1): Promise<void> {
  const dir = fileURLToPath(new URL(`wycheproof/${folder}/`, import.meta.url));
  await mkdir(dir, { recursive: true });
  const files = {
    chacha20_poly1305: fileOf("CHACHA20-POLY1305", `aead_test_schema${suffix}`, aeadGroups()),
    hkdf_sha256: fileOf("HKDF-SHA-256", `hkdf_test_schema${suffix}`, hkdfGroups()),
    [version === 0 ? "eddsa" : "ed25519"]: fileOf(
      "EDDSA",
      `eddsa_verify_schema${suffix}`,
      eddsaGroups(version),
    ),
    x25519: fileOf("XDH", `xdh_comp_schema${suffix}`, xdhGroups()),
  };
  for (const [name, file] of Object.entries(files)) {
    await writeFile(`${dir}${name}_test.json`, `${JSON.stringify(file, undefined, 1)}\n`);
  }
}

await write("testvectors", ".json", 0);
await write("testvectors_v1", "_v1.json", 1);
