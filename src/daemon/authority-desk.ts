import type { DeviceCa } from "../ca/index.ts";
import type { AuthorityDesk } from "../services/index.ts";
import type { Devices } from "../vault/index.ts";
import type { OwnCertificates } from "./own-certificates.ts";

export interface AuthorityDeskParts {
  readonly ca: DeviceCa;
  readonly devices: Devices;
  readonly certificates: OwnCertificates;
}

/** The authority as its service shows and changes it. */
export function authorityDesk({ ca, devices, certificates }: AuthorityDeskParts): AuthorityDesk {
  return {
    generations: () => ca.generations,
    serverCertificate: () => certificates.server,
    revocationEpoch: () => devices.epoch,
    rotate: async () => {
      await ca.rotate();
      await certificates.look();
    },
    renewServer: (options) => certificates.renewServer(options),
    revocationLists: () => ca.revocationLists(revokedCertificates(devices), devices.epoch),
  };
}

function revokedCertificates(devices: Devices) {
  return devices
    .list()
    .flatMap(({ revokedAt, certificates }) =>
      revokedAt === undefined
        ? []
        : certificates.map(({ serial, generation }) => ({ serial, generation, revokedAt })),
    );
}
