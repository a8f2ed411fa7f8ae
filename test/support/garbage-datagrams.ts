/** Datagrams that no honest peer sends: noise, lies about lengths, and damaged copies of real ones. */
import { createSocket } from "node:dgram";
import { setImmediate as nextTurn } from "node:timers/promises";
import { promisify } from "node:util";
import type { SeededRandom } from "./seeded-random.ts";

const BYTES_MAX = 1_472;
const VERSIONS = [0x00000001, 0x6b3343cf, 0x00000000, 0xff00001d, 0x0a0a0a0a, 0xffffffff] as const;
const BATCH = 32;

type Recipe = (random: SeededRandom, real: Uint8Array) => Uint8Array;

const RECIPES: readonly Recipe[] = [noise, shortHeader, longHeader, flipped, cut, extended, spliced, tiny];

/** One datagram of any kind; `real` ones are what an honest client once sent. */
export function garbage(random: SeededRandom, real: readonly Uint8Array[]): Uint8Array {
  return pick(random, RECIPES)(random, real.length === 0 ? noise(random) : pick(random, real));
}

/** Sends `count` of them from one socket, letting the receiver have its turns. */
export async function sendGarbage(options: {
  readonly port: number;
  readonly count: number;
  readonly random: SeededRandom;
  readonly real: readonly Uint8Array[];
}): Promise<void> {
  const { port, count, random, real } = options;
  const socket = createSocket("udp4");
  // Whatever the daemon answers to it is read by nobody.
  socket.on("message", () => undefined);
  const send = promisify((bytes: Uint8Array, done: (failure: Error | null) => void) =>
    socket.send(bytes, port, "127.0.0.1", done),
  );
  try {
    for (let sent = 0; sent < count; sent += BATCH) {
      const size = Math.min(BATCH, count - sent);
      await Promise.all(Array.from({ length: size }, () => send(garbage(random, real))));
      await nextTurn();
    }
  } finally {
    socket.close();
  }
}

function noise(random: SeededRandom): Uint8Array {
  return random.bytes(below(random, BYTES_MAX + 1));
}

/** Seven bytes of a 0-RTT packet are enough to end some servers. */
function tiny(random: SeededRandom): Uint8Array {
  const bytes = random.bytes(below(random, 9));
  if (bytes.length > 4) bytes.set([0xc0 | (below(random, 4) << 4), 0, 0, 0, 1]);
  return bytes;
}

function shortHeader(random: SeededRandom): Uint8Array {
  const bytes = random.bytes(1 + below(random, BYTES_MAX));
  bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x3f);
  return bytes;
}

/** Any packet type and version; connection ids, token and length fields are what they happen to be. */
function longHeader(random: SeededRandom): Uint8Array {
  const bytes = random.bytes(pick(random, [24, 600, 1_200, 1_252, BYTES_MAX]));
  bytes[0] = 0xc0 | ((bytes[0] ?? 0) & 0x3f);
  new DataView(bytes.buffer).setUint32(1, pick(random, VERSIONS));
  if (below(random, 2) === 0) bytes[5] = below(random, 21);
  return bytes;
}

function flipped(random: SeededRandom, real: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(real);
  // Half of the damage where the header is.
  const reach = below(random, 2) === 0 ? Math.min(48, bytes.length) : bytes.length;
  for (let count = 1 + below(random, 4); count > 0 && reach > 0; count -= 1) {
    const index = below(random, reach);
    bytes[index] = (bytes[index] ?? 0) ^ (1 << below(random, 8));
  }
  return bytes;
}

function cut(random: SeededRandom, real: Uint8Array): Uint8Array {
  return real.slice(0, below(random, real.length + 1));
}

function extended(random: SeededRandom, real: Uint8Array): Uint8Array {
  return Buffer.concat([real, random.bytes(below(random, 200))]).subarray(0, BYTES_MAX);
}

/** The head of a real packet on a body of noise, with the length fields of the real one. */
function spliced(random: SeededRandom, real: Uint8Array): Uint8Array {
  const at = below(random, Math.min(64, real.length + 1));
  return Buffer.concat([real.subarray(0, at), random.bytes(real.length - at)]);
}

function below(random: SeededRandom, bound: number): number {
  return Math.floor(random.next() * bound);
}

function pick<Item>(random: SeededRandom, items: readonly Item[]): Item {
  const item = items[below(random, items.length)];
  if (item === undefined) throw new RangeError("pick: nothing to choose from");
  return item;
}
