// Writes src/gen/ from schemas/gatehouse/v1/*.proto and gRPC's own health service: static message codecs (messages.js, messages.d.ts)
// and the method table (methods.ts) that the router and the clients share.
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import protobuf from "protobufjs";
import pbjs from "protobufjs-cli/pbjs.js";
import pbts from "protobufjs-cli/pbts.js";
import { readableTypes } from "./readable-types.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const schemas = join(root, "schemas/gatehouse/v1");
const out = join(root, "src/gen");

const own = (await readdir(schemas))
  .filter((name) => name.endsWith(".proto"))
  .sort()
  .map((name) => join(schemas, name));
const files = [...own, join(root, "schemas/grpc/health/v1/health.proto")];
/** The table's name of a service that others have named as we do one of ours. */
const RENAMED = new Map([["grpc.health.v1.Health", "GrpcHealth"]]);

const METHODS_HEAD = `// Generated from schemas/; do not edit.
import { gatehouse, grpc } from "./messages.js";

export type MethodKind = "unary" | "server" | "client" | "bidi";

/** One message type: what protobufjs' static classes offer. */
export interface Codec<Fields, Message> {
  /** With isShared, the bytes are the writer's own and not a copy: whoever wipes them wipes all there is. */
  encode(message: Fields): { finish(isShared?: boolean): Uint8Array };
  decode(bytes: Uint8Array): Message;
}

/** One RPC method as the schema states it; \`path\` is gRPC's \`/package.Service/Method\`. */
export interface MethodDefinition<Kind extends MethodKind, RequestFields, Request, ResponseFields, Response> {
  readonly path: string;
  readonly kind: Kind;
  /** \`idempotency_level = NO_SIDE_EFFECTS\`: may be retried freely and travel in early data. */
  readonly hasNoSideEffects: boolean;
  readonly request: Codec<RequestFields, Request>;
  readonly response: Codec<ResponseFields, Response>;
}

function define<Kind extends MethodKind, RequestFields, Request, ResponseFields, Response>(
  method: MethodDefinition<Kind, RequestFields, Request, ResponseFields, Response>,
): MethodDefinition<Kind, RequestFields, Request, ResponseFields, Response> {
  return method;
}

`;

const PLAIN_NUMBERS = `// Generated from schemas/; do not edit.
import protobuf from "protobufjs/minimal.js";

// Where a \`long\` package lies about (gRPC's brings one), the runtime picks it up by itself and answers uint64
// fields as objects, against its own declarations. messages.js takes the runtime from here, and so after this.
Object.assign(protobuf.util, { Long: null });
protobuf.configure();

// A writer that grows leaves its smaller buffer behind as it is: what was a secret there would stay in memory.
const prototype = protobuf.Writer.prototype as unknown as { _reserve(count: number): void; buf: Uint8Array };
const reserve = prototype._reserve;
prototype._reserve = function (count) {
  const before = this.buf;
  reserve.call(this, count);
  if (this.buf !== before) before.fill(0);
};

export { protobuf };
`;

if (!(await isFresh())) await generate();

/** True when the output is newer than every schema and than the scripts: `npm test` then starts at once. */
async function isFresh() {
  const scripts = ["generate-protobuf.mjs", "readable-types.mjs"].map((name) => join(root, "scripts", name));
  const times = await Promise.all([...files, ...scripts].map(modifiedMs));
  const made = await Promise.all(
    ["messages.js", "messages.d.ts", "methods.ts", "plain-numbers.ts", "index.ts"].map((name) =>
      modifiedMs(join(out, name)),
    ),
  );
  return Math.min(...made) > Math.max(...times);
}

async function modifiedMs(path) {
  return stat(path).then(
    (entry) => entry.mtimeMs,
    () => 0,
  );
}

async function generate() {
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const messages = join(out, "messages.js");
  await promisify(pbjs.main)([
    ...["-t", "static-module", "-w", "es6", "-p", join(root, "schemas")],
    ...[
      "--force-number",
      "--alt-comment",
      "--no-delimited",
      "--no-convert",
      "--no-service",
      "--no-verify",
      "--no-typeurl",
    ],
    ...["-o", messages, ...files],
  ]);
  await writeFile(messages, onPlainNumbers(await readFile(messages, "utf8")));
  const types = await promisify(pbts.main)([messages]);
  await writeFile(join(out, "messages.d.ts"), readableTypes(types));
  await writeFile(join(out, "methods.ts"), await methodTable());
  await writeFile(join(out, "plain-numbers.ts"), PLAIN_NUMBERS);
  await writeFile(
    join(out, "index.ts"),
    '// Generated from schemas/; do not edit.\nexport { gatehouse, grpc } from "./messages.js";\nexport { METHODS, SERVICES } from "./methods.ts";\nexport type { Codec, MethodDefinition, MethodKind } from "./methods.ts";\n',
  );
}

/** An import that is used keeps its place before the messages, whatever bundlers do with one that is not. */
function onPlainNumbers(code) {
  const result = code.replace(
    'import $protobuf from "protobufjs/minimal.js";',
    'import { protobuf as $protobuf } from "./plain-numbers.ts";',
  );
  if (result === code) throw new Error("pbjs imports its runtime in another way now");
  return result;
}

async function methodTable() {
  const tree = new protobuf.Root();
  tree.resolvePath = (_origin, target) => (target.startsWith("/") ? target : join(root, "schemas", target));
  await tree.load(files, { alternateCommentMode: true });
  tree.resolveAll();
  const services = ["gatehouse.v1", "grpc.health.v1"]
    .flatMap((name) => tree.lookup(name).nestedArray)
    .filter((entry) => entry instanceof protobuf.Service)
    .sort((a, b) => tableName(a).localeCompare(tableName(b)));
  const rows = services.map(
    (service) =>
      `  ${tableName(service)}: {\n${service.methodsArray.map((method) => row(service, method)).join("\n")}\n  },`,
  );
  const table = `export const METHODS = {\n${rows.join("\n")}\n} as const;\n`;
  return `${METHODS_HEAD}${table}\n${serviceTable(services)}`;
}

/** With what the schema says of each, which editors show to whoever writes a call. */
function serviceTable(services) {
  const rows = services.map((service) => {
    const methods = service.methodsArray.map(
      (method) =>
        `${documentation(method, "    ")}    ${lowerCamel(method.name)}: METHODS.${tableName(service)}.${method.name},\n`,
    );
    const name = lowerCamel(tableName(service));
    return `${documentation(service, "  ")}  ${name}: {\n${methods.join("")}  },\n`;
  });
  return `/** \`METHODS\` under the names that programs write. */\nexport const SERVICES = {\n${rows.join("")}} as const;\n`;
}

function documentation({ comment }, indent) {
  if (!comment) return "";
  const lines = comment.split("\n").map((line) => `${indent} * ${line}`.trimEnd());
  return `${indent}/**\n${lines.join("\n").replaceAll("*/", "*\u200b/")}\n${indent} */\n`;
}

function lowerCamel(name) {
  return `${name[0].toLowerCase()}${name.slice(1)}`;
}

function tableName(service) {
  return RENAMED.get(fullName(service)) ?? service.name;
}

/** With its package, without the dot in front. */
function fullName(type) {
  return type.fullName.slice(1);
}

function row(service, method) {
  const kind = method.requestStream
    ? method.responseStream
      ? "bidi"
      : "client"
    : method.responseStream
      ? "server"
      : "unary";
  const noSideEffects = method.options?.idempotency_level === "NO_SIDE_EFFECTS";
  return `    ${method.name}: define({ path: "/${fullName(service)}/${method.name}", kind: "${kind}", hasNoSideEffects: ${noSideEffects}, request: ${fullName(method.resolvedRequestType)}, response: ${fullName(method.resolvedResponseType)} }),`;
}
