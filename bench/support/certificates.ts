import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { SERVER_NAME, type TlsMaterial } from "../contender.ts";

const run = promisify(execFile);

/** P-256 certificates under one fresh CA for a peer's server and client, made by the openssl command (3.0+). */
export async function peerCertificates(): Promise<{ server: TlsMaterial; client: TlsMaterial }> {
  const directory = await mkdtemp(join(tmpdir(), "gatehouse-bench-"));
  try {
    await certificate(directory, "ca", "bench CA", [
      "basicConstraints=critical,CA:TRUE",
      "keyUsage=critical,keyCertSign",
    ]);
    return {
      server: await leaf(directory, "server", SERVER_NAME, "serverAuth"),
      client: await leaf(directory, "client", "client.bench.internal", "clientAuth"),
    };
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function leaf(directory: string, file: string, name: string, usage: string): Promise<TlsMaterial> {
  const extensions = [
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature",
    `extendedKeyUsage=${usage}`,
    `subjectAltName=DNS:${name}`,
  ];
  await certificate(directory, file, name, extensions, "ca");
  const read = (name: string): Promise<string> => readFile(join(directory, name), "utf8");
  return { ca: await read("ca.pem"), certificate: await read(`${file}.pem`), key: await read(`${file}.key`) };
}

async function certificate(
  directory: string,
  file: string,
  name: string,
  extensions: readonly string[],
  issuer?: string,
): Promise<void> {
  await run(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"],
      ...["-config", "/dev/null", "-subj", `/CN=${name}`, "-days", "1"],
      ...["-keyout", `${file}.key`, "-out", `${file}.pem`],
      ...extensions.flatMap((extension) => ["-addext", extension]),
      ...(issuer === undefined ? [] : ["-CA", `${issuer}.pem`, "-CAkey", `${issuer}.key`]),
    ],
    { cwd: directory },
  );
}
