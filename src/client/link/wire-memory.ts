/**
 * Where UDP did not get through, so that TCP need not wait there: in `wires`, a JSON list of `[place, Unix ms]`, the newest
 * last. A place is a gatehouse and the network that leads out of this machine, under a keyed hash: whoever reads the file
 * does not learn where this device has been.
 */
import type { KeyObject } from "node:crypto";
import { createSocket } from "node:dgram";
import { type Clock, hex, LIMITS, utf8 } from "../../core/index.ts";
import { hmacSha256, LABELS } from "../../crypto/index.ts";
import { readSmallFile, writeExpendable } from "../../files/index.ts";
import type { DeviceId } from "../../identity/index.ts";

const PLACE_BYTES = 16;
/** Nothing is ever sent there (RFC 5737, RFC 3849): asked which way they are, the kernel names an address of ours. */
const ELSEWHERE = [
  { family: "udp4", host: "192.0.2.1" },
  { family: "udp6", host: "2001:db8::1" },
] as const;
const ANY_PORT = 9;

export interface WireMemoryOptions {
  readonly file: string;
  readonly key: KeyObject;
  readonly clock: Clock;
}

/** What a dial may know, and tells. Nothing here ever fails a connection. */
export interface UdpHistory {
  hasFailed(): Promise<boolean>;
  failed(): Promise<void>;
  worked(): Promise<void>;
}

export class WireMemory {
  readonly #options: WireMemoryOptions;
  /** Changes follow one another. */
  #changing: Promise<void> = Promise.resolve();

  constructor(options: WireMemoryOptions) {
    this.#options = options;
  }

  /** Of one gatehouse, on whatever network this machine is when it is asked. */
  of(gatehouseId: DeviceId): UdpHistory {
    return {
      hasFailed: async () => {
        const failures = await this.#read();
        return failures.size > 0 && failures.has(await this.#placeOf(gatehouseId));
      },
      failed: () => this.#inTurn(() => this.#change(gatehouseId, this.#options.clock.now())),
      worked: () => this.#inTurn(() => this.#change(gatehouseId, undefined)),
    };
  }

  /** Resolves when what was told so far lies in the home, or could not be written. */
  settled(): Promise<void> {
    return this.#changing;
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    this.#changing = this.#changing.then(change);
    return this.#changing;
  }

  async #change(gatehouseId: DeviceId, at: number | undefined): Promise<void> {
    const failures = await this.#read();
    if (failures.size === 0 && at === undefined) return;
    const place = await this.#placeOf(gatehouseId);
    if (!failures.delete(place) && at === undefined) return;
    if (at !== undefined) failures.set(place, at);
    const entries = [...failures].slice(-LIMITS.udpFailures);
    await writeExpendable(this.#options.file, utf8(JSON.stringify(entries))).catch(() => undefined);
  }

  async #read(): Promise<Map<string, number>> {
    const { file, clock } = this.#options;
    try {
      const document: unknown = JSON.parse(Buffer.from(await readSmallFile(file)).toString());
      const entries = (Array.isArray(document) ? document : []).flatMap(entryOf);
      return new Map(entries.filter(([, at]) => Math.abs(clock.now() - at) < LIMITS.udpFailureMs));
    } catch {
      return new Map();
    }
  }

  async #placeOf(gatehouseId: DeviceId): Promise<string> {
    const words = [LABELS.wireMemory, gatehouseId, await networkHere()].join("\0");
    return hex(hmacSha256(this.#options.key, utf8(words)).subarray(0, PLACE_BYTES));
  }
}

function entryOf(value: unknown): readonly (readonly [string, number])[] {
  if (!Array.isArray(value)) return [];
  const [place, at]: readonly unknown[] = value;
  return typeof place === "string" && typeof at === "number" ? [[place, at]] : [];
}

/** The network by which this machine reaches others: the first half of its address there. */
async function networkHere(): Promise<string> {
  for (const { family, host } of ELSEWHERE) {
    const address = await localAddressTowards(family, host);
    if (address !== undefined)
      return address
        .split(/[.:]/)
        .slice(0, family === "udp4" ? 3 : 4)
        .join(":");
  }
  return "";
}

function localAddressTowards(family: "udp4" | "udp6", host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(family);
    const settle = (address: string | undefined): void => {
      resolve(address);
      socket.close();
    };
    socket.once("error", () => settle(undefined));
    socket.connect(ANY_PORT, host, () => settle(socket.address().address));
  });
}
