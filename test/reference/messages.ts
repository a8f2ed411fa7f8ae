/** The tables of docs/pairing.md: messages, bodies and the frames around them. */
import { concat, leb128 } from "./bytes.ts";
import { decodeMember, encodeMember, type Fields, type Members, type Values } from "./protobuf.ts";
import { badMessage } from "./refused.ts";

const MESSAGE: Members = [
  [
    "hello",
    [
      ["version", "uint32"],
      ["mode", "string"],
      ["nonce", "bytes"],
      ["identityKey", "bytes"],
    ],
  ],
  ["share", [["element", "bytes"]]],
  [
    "confirm",
    [
      ["tag", "bytes"],
      ["signature", "bytes"],
    ],
  ],
  [
    "sealed",
    [
      ["body", "bytes"],
      ["tag", "bytes"],
    ],
  ],
  [
    "refusal",
    [
      ["code", "string"],
      ["message", "string"],
      ["hint", "string"],
      ["retryAfterMs", "uint32"],
    ],
  ],
];

const BODY: Members = [
  [
    "request",
    [
      ["certificateRequest", "bytes"],
      ["name", "string"],
      ["kind", "string"],
      ["platform", "string"],
      ["replace", "bool"],
    ],
  ],
  [
    "grant",
    [
      ["certificate", "bytes"],
      ["caCertificates", "list"],
      ["deviceId", "string"],
      ["deviceName", "string"],
      ["role", "string"],
      ["gatehouseName", "string"],
    ],
  ],
  ["done", []],
  ["pending", [["timeoutMs", "uint32"]]],
];

const MESSAGE_BYTES_MAX = 16_384;
const CERTIFICATE_BYTES_MAX = 4_096;

export type Mode = "code" | "uri";

export interface Hello {
  readonly mode: Mode;
  readonly nonce: Uint8Array;
  readonly identityKey: Uint8Array;
}

export interface Confirm {
  readonly tag: Uint8Array;
  readonly signature: Uint8Array;
}

export interface Request {
  readonly certificateRequest: Uint8Array;
  readonly name: string;
  readonly kind: string;
  readonly platform: string;
  readonly replace: boolean;
}

export interface Grant {
  readonly certificate: Uint8Array;
  readonly caCertificates: readonly Uint8Array[];
  readonly deviceId: string;
  readonly deviceName: string;
  readonly role: string;
  readonly gatehouseName: string;
}

/** A message, framed. */
export function message(name: string, values: object): Uint8Array {
  const encoded = encodeMember(MESSAGE, name, values as Values);
  return concat(leb128(encoded.length), encoded);
}

export const body = (name: string, values: object): Uint8Array => encodeMember(BODY, name, values as Values);

/** A message whose fields are still to be looked at. */
export interface Arrived {
  readonly name: string;
  readonly fields: Fields;
}

export function parseBody(bytes: Uint8Array): Arrived {
  return decodeMember(BODY, bytes);
}

/** Cuts a stream of bytes into messages. */
export class Unframer {
  #held = new Uint8Array(0);

  push(bytes: Uint8Array): readonly Arrived[] {
    this.#held = Uint8Array.from(concat(this.#held, bytes));
    const arrived: Arrived[] = [];
    for (let next = this.#next(); next !== undefined; next = this.#next()) arrived.push(next);
    return arrived;
  }

  #next(): Arrived | undefined {
    const last = this.#held.subarray(0, 3).findIndex((byte) => byte < 128);
    if (last === -1) {
      if (this.#held.length >= 3) throw badMessage("a length of more than three bytes");
      return undefined;
    }
    const head = this.#held.subarray(0, last + 1);
    const length = head.reduceRight((value, byte) => value * 128 + (byte % 128), 0);
    if (head.length !== leb128(length).length) throw badMessage("a padded length");
    if (length === 0 || length > MESSAGE_BYTES_MAX) throw badMessage("a length out of bounds");
    const end = head.length + length;
    if (this.#held.length < end) return undefined;
    const content = this.#held.slice(head.length, end);
    this.#held = this.#held.slice(end);
    return decodeMember(MESSAGE, content);
  }
}

/** The fields of a message that has to be of kind `name`. */
export function expect({ name, fields }: Arrived, due: string): Fields {
  if (name !== due) throw badMessage(`${name} where ${due} was due`);
  return fields;
}

export function readHello(arrived: Arrived): Hello {
  const fields = expect(arrived, "hello");
  const mode = fields.text("mode", 64);
  if (mode !== "code" && mode !== "uri") throw badMessage("unknown mode");
  if (fields.number("version") !== 1) throw badMessage("unknown version");
  return { mode, nonce: fields.exactly("nonce", 32), identityKey: fields.exactly("identityKey", 32) };
}

export function readConfirm(arrived: Arrived): Confirm {
  const fields = expect(arrived, "confirm");
  return { tag: fields.exactly("tag", 64), signature: fields.exactly("signature", 64) };
}

/** The refusal's code. */
export function readRefusal({ fields }: Arrived): string {
  fields.text("message", 1_024);
  fields.text("hint", 1_024);
  return fields.text("code", 64);
}

export function readRequest(arrived: Arrived): Request {
  const fields = expect(arrived, "request");
  return {
    certificateRequest: fields.upTo("certificateRequest", CERTIFICATE_BYTES_MAX),
    name: fields.name("name"),
    kind: fields.text("kind", 64),
    platform: fields.text("platform", 64),
    replace: fields.flag("replace"),
  };
}

export function readGrant(arrived: Arrived): Grant {
  const fields = expect(arrived, "grant");
  return {
    certificate: fields.upTo("certificate", CERTIFICATE_BYTES_MAX),
    caCertificates: fields.list("caCertificates", 4, CERTIFICATE_BYTES_MAX),
    deviceId: fields.text("deviceId", 64),
    deviceName: fields.name("deviceName"),
    role: fields.name("role"),
    gatehouseName: fields.name("gatehouseName"),
  };
}
