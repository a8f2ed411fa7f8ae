import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TlsIdentity } from "../../src/quic/index.ts";

export type KeyAlgorithm = "P-256" | "Ed25519";

const KEY_OPTIONS: Readonly<Record<KeyAlgorithm, readonly string[]>> = {
  "P-256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
  Ed25519: ["-algorithm", "ed25519"],
};

/** A certificate authority made by OpenSSL, with leaves under it: the transport's tests know nothing of our own CA. */
export class TlsFixtures implements Disposable {
  readonly #dir = mkdtempSync(join(tmpdir(), "gatehouse-tls-"));
  readonly caPem: string;

  constructor(name = "test authority") {
    this.#key("ca");
    this.#openssl(
      "req",
      "-x509",
      "-new",
      "-key",
      "ca.key",
      "-subj",
      `/CN=${name}`,
      "-days",
      "2",
      "-out",
      "ca.pem",
    );
    this.caPem = this.#read("ca.pem");
  }

  leaf(name: string, usage: "clientAuth" | "serverAuth", algorithm: KeyAlgorithm = "P-256"): TlsIdentity {
    this.#key(name, algorithm);
    this.#openssl("req", "-new", "-key", `${name}.key`, "-subj", "/", "-out", `${name}.csr`);
    const lines = [
      "basicConstraints=critical,CA:FALSE",
      "keyUsage=critical,digitalSignature",
      `extendedKeyUsage=${usage}`,
      `subjectAltName=critical,DNS:${name}.gatehouse.internal`,
    ];
    writeFileSync(join(this.#dir, `${name}.ext`), lines.join("\n"));
    const sign = [
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
    ];
    this.#openssl(...sign, "-days", "1", "-extfile", `${name}.ext`, "-out", `${name}.pem`);
    return { keyPem: this.#read(`${name}.key`), certificatePem: this.#read(`${name}.pem`) };
  }

  selfSigned(name: string): TlsIdentity {
    this.#key(name);
    this.#openssl(
      "req",
      "-x509",
      "-new",
      "-key",
      `${name}.key`,
      "-subj",
      "/CN=self",
      "-days",
      "2",
      "-out",
      `${name}.pem`,
    );
    return { keyPem: this.#read(`${name}.key`), certificatePem: this.#read(`${name}.pem`) };
  }

  [Symbol.dispose](): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #key(name: string, algorithm: KeyAlgorithm = "P-256"): void {
    this.#openssl("genpkey", ...KEY_OPTIONS[algorithm], "-out", `${name}.key`);
  }

  #openssl(...args: readonly string[]): void {
    execFileSync("openssl", args, { cwd: this.#dir, stdio: "pipe" });
  }

  #read(file: string): string {
    return readFileSync(join(this.#dir, file), "utf8");
  }
}
