import { isIPv6 } from "node:net";
import { GatehouseError } from "../core/index.ts";
import type { SocketAddress } from "../quic/index.ts";

const SHAPE = /^(?:\[([0-9A-Fa-f:.%]{2,64})\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})$/;

/** `127.0.0.1:7443`, `[::1]:7443`, `host.example:7443`. @throws usage.bad-argument */
export function parseAddress(text: string): SocketAddress {
  const [, bracketed, bare, digits] = SHAPE.exec(text) ?? [];
  const host = bracketed ?? bare;
  const port = Number(digits);
  if (host !== undefined && (bracketed === undefined || isIPv6(host)) && port >= 1 && port <= 65_535) {
    return { host, port };
  }
  throw new GatehouseError("usage.bad-argument", `not an address: ${JSON.stringify(text.slice(0, 80))}`, {
    hint: "write HOST:PORT, such as 192.0.2.7:7443 or [2001:db8::7]:7443",
  });
}
