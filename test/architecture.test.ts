import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const SRC = fileURLToPath(new URL("../src", import.meta.url));

/** Who may import whom. A new folder of src/ comes with its row. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  gen: [],
  crypto: ["core"],
  files: ["core"],
  keystore: ["core", "crypto", "files"],
  identity: ["core", "crypto", "files", "keystore"],
  certs: ["core", "crypto", "identity"],
  quic: ["core"],
  rpc: ["core", "gen"],
  grpc: ["core", "gen", "rpc"],
  ca: ["core", "crypto", "files", "identity", "certs"],
  pairing: ["core", "gen", "crypto", "identity", "certs"],
  vault: ["core", "gen", "crypto", "files", "keystore"],
  backup: ["core", "crypto"],
  authz: ["core", "gen", "identity"],
  audit: ["core", "gen", "crypto", "files"],
  tools: ["core", "crypto"],
  observe: ["core"],
  config: ["core"],
  services: [
    ...["core", "gen", "crypto", "files", "identity", "certs", "rpc", "ca", "pairing", "vault", "authz"],
    ...["audit", "observe", "config", "tools"],
  ],
  daemon: [
    ...["core", "gen", "crypto", "files", "keystore", "identity", "certs", "quic", "rpc", "grpc", "ca"],
    ...["pairing", "vault", "backup", "authz", "audit", "observe", "config", "services", "tools"],
  ],
  client: [
    ...["core", "gen", "crypto", "files", "keystore", "identity", "certs", "quic", "rpc", "grpc"],
    ...["pairing", "audit"],
  ],
  measure: ["core", "client"],
  cli: ["core", "files", "keystore", "observe", "config", "daemon", "client", "measure"],
};

/** Packages that one folder alone may touch. */
const SOLE_OWNER: Readonly<Record<string, string>> = {
  "@matrixai/quic": "quic/native.ts",
  "sql.js": "vault",
  "@cedar-policy/cedar-wasm": "authz",
  "@peculiar/x509": "certs",
  "@noble/ciphers": "crypto",
  "@noble/hashes": "crypto",
  "@noble/curves": "crypto",
  commander: "cli",
  qrcode: "cli",
  "age-encryption": "backup",
  "tar-stream": "backup",
  "smol-toml": "config",
  pino: "observe",
  "fs-native-extensions": "files",
};

interface Import {
  readonly from: string;
  readonly specifier: string;
}

const modules = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter(
  (path) => path.endsWith(".ts") && !path.endsWith(".d.ts"),
);

/** Static, re-exporting, dynamic and type imports alike. */
const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)["']([^"'\n]+)["']/g;

const imports: readonly Import[] = modules.flatMap((from) =>
  [...readFileSync(join(SRC, from), "utf8").matchAll(IMPORT)].map((match) => ({
    from,
    specifier: match[1] ?? "",
  })),
);

const folderOf = (path: string): string => (path.includes("/") ? (path.split("/")[0] ?? "") : "");

function target({ from, specifier }: Import): string {
  return relative(SRC, resolve(SRC, dirname(from), specifier));
}

const ownImports = imports.filter(({ specifier }) => specifier.startsWith("."));
const packageImports = imports.filter(({ specifier }) => !/^(?:\.|node:)/.test(specifier));

describe("the import table", () => {
  it("has a row for every folder of src/", () => {
    const folders = readdirSync(SRC, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map(({ name }) => name).filter((name) => !(name in MAY_IMPORT))).toEqual([]);
  });

  it("was held against every module, and saw what they import", () => {
    const silent = modules.filter(
      (path) =>
        !imports.some(({ from }) => from === path) && /^import /m.test(readFileSync(join(SRC, path), "utf8")),
    );
    expect(silent).toEqual([]);
    expect(modules.length).toBeGreaterThan(12);
    expect(ownImports.length).toBeGreaterThan(modules.length / 2);
  });

  it("is kept by every import across folders", () => {
    const broken = ownImports.filter((entry) => {
      const [own, other] = [folderOf(entry.from), folderOf(target(entry))];
      return own !== "" && own !== other && !(MAY_IMPORT[own] ?? []).includes(other);
    });
    expect(broken).toEqual([]);
  });

  it("lets a folder be entered through its index only", () => {
    const inside = ownImports.filter((entry) => {
      const path = target(entry);
      return folderOf(entry.from) !== folderOf(path) && !path.endsWith("/index.ts");
    });
    expect(inside).toEqual([]);
  });

  it("keeps each native or heavy package behind its one owner", () => {
    const strays = packageImports.filter(({ from, specifier }) => {
      const name = specifier
        .split("/")
        .slice(0, specifier.startsWith("@") ? 2 : 1)
        .join("/");
      const owner = SOLE_OWNER[name];
      return owner !== undefined && from !== owner && folderOf(from) !== owner;
    });
    expect(strays).toEqual([]);
  });

  it("copies bytes in a way that copies buffers too", () => {
    const strays = modules.filter((path) => /\.slice\(\)/.test(readFileSync(join(SRC, path), "utf8")));
    expect(strays).toEqual([]);
  });

  it("leaves process to the command line", () => {
    const strays = modules.filter(
      (path) =>
        folderOf(path) !== "cli" &&
        /\bprocess\.(?:exit|argv|env|stdout|stdin)\b/.test(readFileSync(join(SRC, path), "utf8")),
    );
    expect(strays).toEqual([]);
  });
});
