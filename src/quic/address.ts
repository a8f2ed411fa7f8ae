import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { GatehouseError } from "../core/index.ts";

/** An IP address and a UDP port. The native binding takes exactly this shape. */
export interface SocketAddress {
  readonly host: string;
  readonly port: number;
}

export function formatAddress({ host, port }: SocketAddress): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** @throws quic.bad-address when the name has no address or the port is out of range. */
export async function resolveAddress({ host, port }: SocketAddress): Promise<SocketAddress> {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new GatehouseError("quic.bad-address", `port ${port} is not between 0 and 65535`);
  }
  if (isIP(host) !== 0) return { host, port };
  try {
    return { host: (await lookup(host)).address, port };
  } catch (cause) {
    throw new GatehouseError("quic.bad-address", `no address found for ${host}`, {
      hint: "check the name, or use the IP address",
      cause,
    });
  }
}

/**
 * What to dial for a socket that is bound to `bound`: itself, or for a wildcard an address of this machine, the first that
 * others can see or, for `this-machine`, the loopback one.
 */
export function dialable(bound: SocketAddress, from: "this-machine" | "network"): SocketAddress {
  const { host, port } = bound;
  if (host !== "0.0.0.0" && host !== "::") return bound;
  const family = isIP(host) === 6 ? "IPv6" : "IPv4";
  const seen = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    // A link-local address means nothing without the name of the link.
    .find(
      (address) => address.family === family && !address.internal && !address.address.startsWith("fe80:"),
    );
  const loopback = family === "IPv6" ? "::1" : "127.0.0.1";
  return { host: from === "network" ? (seen?.address ?? loopback) : loopback, port };
}

/** The unit that per-source limits count: an IPv4 address, or an IPv6 /64. */
export function sourceOf(host: string): string {
  if (isIP(host) !== 6) return host;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host);
  if (mapped?.[1] !== undefined) return mapped[1];
  const [head = "", tail] = (host.split("%")[0] ?? "").split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array<string>(zeros).fill("0"), ...right]
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":");
}
