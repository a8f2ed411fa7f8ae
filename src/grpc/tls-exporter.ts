import type { TLSSocket } from "node:tls";
import { copyOf, GatehouseError } from "../core/index.ts";

const LABEL = "EXPORTER-Channel-Binding";
const SIZE_BYTES = 32;

/**
 * What names this very TLS connection, the same at both its ends and at no others: `tls-exporter` of RFC 9266 §2, 32 bytes. Of
 * TLS 1.3 alone, where nothing more is needed for that (§4.2).
 * @throws quic.wrong-server when there is none
 */
export function tlsExporter(socket: TLSSocket): Uint8Array {
  try {
    if (socket.getProtocol() !== "TLSv1.3") throw new RangeError(`${socket.getProtocol() ?? "no TLS"}`);
    return copyOf(socket.exportKeyingMaterial(SIZE_BYTES, LABEL, Buffer.alloc(0)));
  } catch (cause) {
    throw new GatehouseError("quic.wrong-server", "the TLS connection has nothing to be known by", { cause });
  }
}
