import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { GatehouseError } from "../core/index.ts";

/** An IP address and a UDP port. The native binding takes exactly this shape. */
export interface SocketAddress {
  readonly host: string;
  readonly port: number;
}

export function formatAddress({ host, port }: SocketAddress): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * All addresses of a name, IPv6 and IPv4 in turn, IPv6 first (RFC 8305 §4); an address is its own.
 * @throws quic.bad-address when the name has no address or the port is out of range.
 */
export async function resolveAddress({ host, port }: SocketAddress): Promise<readonly SocketAddress[]> {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new GatehouseError("quic.bad-address", `port ${port} is not between 0 and 65535`);
  }
  if (isIP(host) !== 0) return [{ host, port }];
  try {
    const found = await lookup(host, { all: true });
    return inTurn(
      found.filter(({ family }) => family === 6),
      found.filter(({ family }) => family === 4),
    ).map(({ address }) => ({ host: address, port }));
  } catch (cause) {
    throw new GatehouseError("quic.bad-address", `no address found for ${host}`, {
      hint: "check the name, or use the IP address",
      cause,
    });
  }
}

function inTurn<Item>(first: readonly Item[], second: readonly Item[]): readonly Item[] {
  const length = Math.max(first.length, second.length);
  return Array.from({ length }, (_, index) => [
    ...first.slice(index, index + 1),
    ...second.slice(index, index + 1),
  ]).flat();
}

/**
 * What to dial of the addresses that a server listens on: for others the first that is not loopback, for `this-machine` the
 * loopback one; where there is none such, the first. Concrete ones only: a wildcard has been bound to each.
 */
export function dialable(bound: readonly SocketAddress[], from: "this-machine" | "network"): SocketAddress {
  const wanted = bound.find(({ host }) => isLoopback(host) === (from === "this-machine")) ?? bound[0];
  if (wanted === undefined) throw new TypeError("dialable: no address");
  return wanted;
}

function isLoopback(host: string): boolean {
  return host === "::1" || host.startsWith("127.");
}
