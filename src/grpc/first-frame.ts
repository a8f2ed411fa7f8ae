/**
 * What a server says first (RFC 9113 §4.1): SETTINGS, when this device is let in, or the one frame of a refusal, whose bytes
 * are in `farewell.ts`. Node's client would tell the latter from any other broken peer's only as a protocol error.
 */
import type { TLSSocket } from "node:tls";
import { GatehouseError } from "../core/index.ts";
import type { TcpAddress } from "./connection.ts";
import { SENTENCE_BYTES_MAX } from "./farewell.ts";
import { dialError } from "./tls-dial.ts";

const HEAD_BYTES = 9;
const SETTINGS = 4;
const GOAWAY = 7;
/** Of a GOAWAY, before its debug data: last stream and error code. */
const FIXED_BYTES = 8;
const GOAWAY_BYTES_MAX = HEAD_BYTES + FIXED_BYTES + SENTENCE_BYTES_MAX;

/**
 * Waits for it, and leaves all that has come to be read again. Answers the debug data of a refusal; undefined when the server
 * speaks HTTP/2. @throws quic.wrong-server, quic.closed, and what TLS says of this device's certificate
 */
export async function refusalIn(socket: TLSSocket, address: TcpAddress): Promise<Buffer | undefined> {
  for (let seen = Buffer.alloc(0); ; ) {
    seen = Buffer.concat([seen, await chunkOf(socket, address)]);
    if (seen.length < HEAD_BYTES) continue;
    const bytes = seen.readUIntBE(0, 3);
    if (seen[3] === SETTINGS) {
      socket.unshift(seen);
      return undefined;
    }
    if (seen[3] !== GOAWAY || bytes < FIXED_BYTES || HEAD_BYTES + bytes > GOAWAY_BYTES_MAX) throw notHttp2();
    if (seen.length >= HEAD_BYTES + bytes) return seen.subarray(HEAD_BYTES + FIXED_BYTES, HEAD_BYTES + bytes);
  }
}

function chunkOf(socket: TLSSocket, address: TcpAddress): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (run: () => void): void => {
      socket.off("readable", look);
      socket.off("end", closed);
      socket.off("error", failed);
      socket.off("close", closed);
      run();
    };
    const look = (): void => {
      const chunk: unknown = socket.read();
      if (chunk instanceof Buffer) settle(() => resolve(chunk));
      else if (socket.readableEnded) closed();
    };
    const failed = (failure: unknown): void => settle(() => reject(dialError(failure, address)));
    const closed = (): void =>
      settle(() =>
        reject(
          // So does whoever breaks the connection in between: it is no verdict.
          new GatehouseError("quic.closed", "the gatehouse ended the connection without a word", {
            hint: "should it go on: compare the clocks of both machines, or pair this device anew",
          }),
        ),
      );
    socket.on("readable", look);
    socket.once("end", closed);
    socket.once("error", failed);
    socket.once("close", closed);
    look();
  });
}

function notHttp2(): GatehouseError {
  return new GatehouseError("quic.wrong-server", "what answers there does not speak gRPC", {
    hint: "check the address and the port",
  });
}
