import type { AuditFields } from "../audit/index.ts";
import type { AdmittedDevice, DeviceRegistry } from "../ca/index.ts";
import type { Logger } from "../core/index.ts";
import type { DeviceRow, Devices } from "../vault/index.ts";
import type { Wire } from "./door-connection.ts";

export interface ArrivalsParts {
  readonly registry: DeviceRegistry<DeviceRow>;
  readonly devices: Devices;
  readonly audit: { encodeEvent(fields: AuditFields): Uint8Array };
  readonly logger: Logger;
}

/**
 * Writes down, beside the handshake, what a device's arrival changes: when it was seen, and that it has begun to use what its
 * last renewal gave it. What could not be written is written the next time.
 */
export function arrivals(
  parts: ArrivalsParts,
): (device: AdmittedDevice<DeviceRow>, wire: Wire, address: string) => void {
  const { registry, devices, audit, logger } = parts;
  return ({ id, access, key, row, spkiSha256 }, wire, address) => {
    const note = async (): Promise<void> => {
      const isNews = key === "next" || row.readmittedUntil !== undefined;
      if (access === "full" && isNews) {
        const action = { action: "device:renewed", resource: `device:${id}`, outcome: "done" } as const;
        await devices.used(id, spkiSha256, {
          audit: () => audit.encodeEvent({ ...action, principal: id, detail: { key } }),
        });
      }
      const sight = registry.seen(id, { wire, address });
      if (sight !== undefined) await devices.saw(id, sight);
    };
    note().catch((failure: unknown) => {
      logger.warn("arrival-not-noted", {
        device: id,
        error: failure instanceof Error ? failure.message : "unknown",
      });
    });
  };
}
