/** The foreign client, quic-go/main.go: built from Debian's packages alone, without a network. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { TlsIdentity } from "../../src/quic/index.ts";
import { isObject, type JsonObject } from "../support/gatehouse-process.ts";

const SOURCE_PATH = fileURLToPath(new URL("quic-go/main.go", import.meta.url));
const GOPATH = "/usr/share/gocode";
const PACKAGE_DIR = join(GOPATH, "src/github.com/lucas-clemente/quic-go");
const BUILD_MS = 120_000;
const RUN_MS = 20_000;

const run = promisify(execFile);

export interface ForeignCall {
  readonly address: string;
  readonly serverName: string;
  readonly caPem: string;
  /** Undefined: a client without a certificate. */
  readonly identity: TlsIdentity | undefined;
  readonly payload: Uint8Array;
  readonly alpn?: string;
}

export type ForeignOutcome =
  | { readonly kind: "answered"; readonly answer: JsonObject }
  | { readonly kind: "refused"; readonly refusal: JsonObject };

/** What is not installed here, as a sentence that says what to do; undefined when everything is. */
export async function missingForQuicGo(): Promise<string | undefined> {
  const hasGo = await run("go", ["version"]).then(
    () => true,
    () => false,
  );
  if (hasGo && existsSync(PACKAGE_DIR)) return undefined;
  const what = hasGo ? "quic-go is" : "Go is";
  return `${what} not installed: on Debian 12, apt-get install golang-go golang-github-lucas-clemente-quic-go-dev`;
}

/** The built program, and a directory for it and for what it is given; gone on disposal. */
export class QuicGo implements AsyncDisposable {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async build(): Promise<QuicGo> {
    const dir = await mkdtemp(join(tmpdir(), "gatehouse-quic-go-"));
    const client = new QuicGo(dir);
    const env = { ...process.env, GOPATH, GO111MODULE: "off", GOFLAGS: "", GOPROXY: "off", CGO_ENABLED: "0" };
    try {
      await run("go", ["build", "-o", client.#program, SOURCE_PATH], { env, timeout: BUILD_MS });
      return client;
    } catch (failure) {
      await client[Symbol.asyncDispose]();
      throw failure;
    }
  }

  /** One connection with one `Ping` on it. */
  async ping(call: ForeignCall): Promise<ForeignOutcome> {
    const args = ["-address", call.address, "-server-name", call.serverName];
    args.push("-payload", await this.#file("payload", call.payload));
    args.push("-ca", await this.#file("ca.pem", call.caPem));
    if (call.alpn !== undefined) args.push("-alpn", call.alpn);
    if (call.identity !== undefined) {
      args.push("-cert", await this.#file("client.pem", call.identity.certificatePem));
      args.push("-key", await this.#file("client.key", call.identity.keyPem));
    }
    const { stdout } = await run(this.#program, args, { timeout: RUN_MS });
    return outcomeOf(JSON.parse(stdout));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true });
  }

  get #program(): string {
    return join(this.#dir, "ping");
  }

  async #file(name: string, content: string | Uint8Array): Promise<string> {
    const path = join(this.#dir, name);
    await writeFile(path, content, { mode: 0o600 });
    return path;
  }
}

function outcomeOf(document: unknown): ForeignOutcome {
  if (isObject(document)) {
    const { answered, refused } = document;
    if (isObject(answered)) return { kind: "answered", answer: answered };
    if (isObject(refused)) return { kind: "refused", refusal: refused };
  }
  throw new Error(`quic-go printed another shape: ${JSON.stringify(document)}`);
}
