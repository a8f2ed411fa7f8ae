/**
 * A gRPC client as anybody would write it: grpc-js, the .proto files, a certificate and a key, and nothing of ours.
 *
 * stock-client.mjs OFFER SCHEMAS ADDRESS SERVER_NAME CA CERTIFICATE KEY COMMAND [ARGUMENT]   (CERTIFICATE and KEY may be "")
 * OFFER is `all` that the runtime's TLS can, or `boringssl`: no more than BoringSSL would offer.
 * One JSON line for each thing that happens.
 */
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { credentials, loadPackageDefinition, status } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [offer, schemas, address, serverName, ca, certificate, key, command, argument] = process.argv.slice(2);

/**
 * What a client on BoringSSL offers when nobody tells it otherwise: `kDefaultSupportedGroupIds` and, in ssl/extensions.cc of
 * commit 0370de71, `kVerifySignatureAlgorithms`; the suites are all that its TLS 1.3 has. Hybrid groups and what else later
 * versions add is left out: a server that gets along with less gets along with more.
 */
const BORINGSSL = {
  minVersion: "TLSv1.3",
  ciphers: "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
  ecdhCurve: "X25519:P-256:P-384",
  sigalgs: [
    ...["ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256", "rsa_pkcs1_sha256"],
    ...["ecdsa_secp384r1_sha384", "rsa_pss_rsae_sha384", "rsa_pkcs1_sha384"],
    ...["rsa_pss_rsae_sha512", "rsa_pkcs1_sha512", "rsa_pkcs1_sha1"],
  ].join(":"),
};

function say(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

function read(path) {
  return path === "" ? null : readFileSync(path);
}

function channelCredentials() {
  const identity = { ca: read(ca), key: read(key), cert: read(certificate) };
  if (offer === "all") return credentials.createSsl(identity.ca, identity.key, identity.cert);
  const given = Object.fromEntries(Object.entries(identity).filter(([, value]) => value !== null));
  return credentials.createFromSecureContext(createSecureContext({ ...given, ...BORINGSSL }));
}

const files = ["gatehouse/v1/approvals.proto", "gatehouse/v1/health.proto", "gatehouse/v1/vault.proto"];
const definition = loadSync([...files, "grpc/health/v1/health.proto"], {
  ...{ includeDirs: [schemas], longs: Number, enums: String },
});
const { gatehouse, grpc } = loadPackageDefinition(definition);

function open(Service) {
  return new Service(address, channelCredentials(), { "grpc.ssl_target_name_override": serverName });
}

function deadline(seconds) {
  return { deadline: Date.now() + seconds * 1_000 };
}

function unary(client, method, request) {
  return new Promise((resolve, reject) => {
    client[method](request, deadline(5), (failure, answer) => {
      if (failure) reject(failure);
      else resolve(answer);
    });
  });
}

const commands = {
  async get() {
    const { value } = await unary(open(gatehouse.v1.Vault), "Get", { path: argument });
    say({ value: value.toString() });
  },
  async ping() {
    const { payload } = await unary(open(gatehouse.v1.Health), "Ping", { payload: Buffer.from("hi") });
    say({ payload: payload.toString() });
  },
  async check() {
    const answer = await unary(open(grpc.health.v1.Health), "Check", { service: argument });
    say({ status: answer.status });
  },
  async watch() {
    for await (const { revision } of open(gatehouse.v1.Approvals).Watch({}, deadline(20))) say({ revision });
  },
};

try {
  await commands[command]();
} catch (failure) {
  if (typeof failure.code !== "number") throw failure;
  const trailer = (name) => String(failure.metadata.get(name)[0] ?? "");
  say({
    ...{ failed: status[failure.code], details: failure.details },
    ...{ code: trailer("gatehouse-code"), hint: trailer("gatehouse-hint") },
  });
}
process.exit();
