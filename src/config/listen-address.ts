import { isIPv4, isIPv6 } from "node:net";
import { GatehouseError } from "../core/index.ts";

/** Where the daemon binds; port 0 lets the system pick one. */
export interface ListenAddress {
  /** An IPv4 or IPv6 address without brackets, or a host name. */
  readonly host: string;
  readonly port: number;
}

export const DEFAULT_PORT = 7443;

const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*\.?$/;

/**
 * `127.0.0.1:7443`, `[::1]:7443`, `localhost:0`; without a port, 7443.
 *
 * @throws GatehouseError `usage.bad-argument` for anything else.
 */
export function parseListenAddress(text: string): ListenAddress {
  const [, bracketed, bare, digits] = /^(?:\[([^\]]*)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? bare ?? "";
  const port = digits === undefined ? DEFAULT_PORT : Number(digits);
  const isHost = bracketed === undefined ? isIPv4(host) || isHostName(host) : isIPv6(host);
  if (isHost && port <= 65_535) return { host, port };
  throw new GatehouseError("usage.bad-argument", `not an address: ${JSON.stringify(text.slice(0, 80))}`, {
    hint: "write HOST:PORT, such as 127.0.0.1:7443 or [::1]:7443",
  });
}

/** The text that `parseListenAddress` reads back. */
export function formatListenAddress({ host, port }: ListenAddress): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A name of digits and dots alone is a mistyped IPv4 address. */
function isHostName(text: string): boolean {
  return HOST_NAME.test(text) && !/^[\d.]+$/.test(text);
}
