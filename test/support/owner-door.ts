/** A connection to a running daemon as the owner of its home, down to the bytes of a stream. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openHomeIdentity } from "../../src/client/home-identity.ts";
import { silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { homeLayout } from "../../src/files/index.ts";
import type { MethodDefinition } from "../../src/gen/index.ts";
import { ClientTls, connectQuic, type QuicClientConnection } from "../../src/quic/index.ts";
import { Caller, FrameDecoder } from "../../src/rpc/index.ts";
import { isObject, text } from "./gatehouse-process.ts";

export interface RawAnswer {
  /** Code in the close frame; empty for success, undefined when none came. */
  readonly code: string | undefined;
  /** What the stream ended with when it was reset or its connection died. */
  readonly failure: string | undefined;
}

export class OwnerDoor implements AsyncDisposable {
  readonly #client: QuicClientConnection;
  readonly #caller = new Caller({ clock: systemClock, random: systemRandom });

  private constructor(client: QuicClientConnection) {
    this.#client = client;
  }

  static async open(home: string, port: number): Promise<OwnerDoor> {
    const layout = homeLayout(home);
    const identity = await openHomeIdentity(layout);
    const owner = await readOwner(layout.identityDir);
    const client = await connectQuic({
      address: { host: "127.0.0.1", port },
      serverName: `${identity.id}.gatehouse.internal`,
      tls: await ClientTls.create({
        alpn: "gatehouse/1",
        identity: { keyPem: identity.tls.privateKeyPem, certificatePem: owner.certificatePem },
        verification: { kind: "strict", caPem: owner.caPem },
      }),
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    });
    return new OwnerDoor(client);
  }

  call<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"unary", RequestFields, Request, ResponseFields, Response>,
    fields: RequestFields,
  ): Promise<Response> {
    return this.#caller.unary(() => this.#client.connection.openStream(), method, fields);
  }

  /** Writes `bytes` on a stream of its own, and answers how the daemon ended that stream. */
  send(bytes: Uint8Array, fin: boolean): Promise<RawAnswer> {
    const stream = this.#client.connection.openStream();
    return new Promise((resolve) => {
      const decoder = new FrameDecoder();
      let code: string | undefined;
      stream.attach({
        data: (chunk, isLast) => {
          decoder.push(chunk);
          for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
            if (frame.kind === "close") code = frame.close.code;
          }
          decoder.keep();
          if (isLast) resolve({ code, failure: undefined });
        },
        drain: () => undefined,
        closed: (error) => resolve({ code, failure: error?.code ?? "closed" }),
      });
      stream.write(bytes, fin);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#caller[Symbol.dispose]();
    await this.#client[Symbol.asyncDispose]();
  }
}

async function readOwner(identityDir: string): Promise<{ certificatePem: string; caPem: string }> {
  const document: unknown = JSON.parse(await readFile(join(identityDir, "owner.json"), "utf8"));
  if (!isObject(document) || !Array.isArray(document["caCertificates"]))
    throw new Error("no owner certificate");
  const authorities: readonly unknown[] = document["caCertificates"];
  return {
    certificatePem: pem(text(document["certificate"])),
    caPem: authorities.map((certificate) => pem(text(certificate))).join(""),
  };
}

function pem(base64: string): string {
  return `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
}
