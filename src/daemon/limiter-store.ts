import { ByteReader, ByteWriter, LIMITS, type UnixMs, unixMs } from "../core/index.ts";
import type { PairingLimiterStore } from "../pairing/index.ts";
import type { Settings } from "../vault/index.ts";

/** Eight bytes a burnt code: its wall-clock time in ms; the newest `LIMITS.burntCodes`. */
const KEY = "pairing/burnt-codes";

/** Burnt codes, remembered in the vault; `event` is the audit record that rides along. */
export function limiterStore(settings: Settings, event: () => Uint8Array): PairingLimiterStore {
  return {
    load: async () => decode(settings.get(KEY)),
    async recordBurnt(at) {
      const change = (value: Uint8Array | undefined): Uint8Array => encode([...decode(value), at]);
      await settings.update(KEY, change, { audit: event() });
    },
  };
}

function decode(value: Uint8Array | undefined): readonly UnixMs[] {
  if (value === undefined) return [];
  const reader = new ByteReader(value);
  return Array.from({ length: Math.floor(value.length / 8) }, () => unixMs(reader.u64()));
}

function encode(times: readonly UnixMs[]): Uint8Array {
  const writer = new ByteWriter();
  for (const time of times.slice(-LIMITS.burntCodes)) writer.u64(time);
  return writer.finish();
}
