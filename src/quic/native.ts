/**
 * The one door to `@matrixai/quic`: its native quiche binding, and nothing else of it, whose classes take a tenth of a
 * second to load.
 * Prebuilt for linux-x64 (glibc), macOS and Windows x64; elsewhere the import fails and we say so.
 */
import type { native as NativeExports } from "@matrixai/quic";
import { GatehouseError } from "../core/index.ts";

export type Quiche = (typeof NativeExports)["quiche"];
export type NativeConfig = InstanceType<Quiche["Config"]>;
export type NativeConnection = ReturnType<Quiche["Connection"]["connect"]>;

let loaded: Promise<Quiche> | undefined;

/** @throws quic.unsupported-platform where no prebuilt binary exists. */
export function loadQuiche(): Promise<Quiche> {
  loaded ??= import("@matrixai/quic/native/quiche.js").then(
    ({ default: quiche }) => quiche,
    (cause: unknown) => {
      throw new GatehouseError(
        "quic.unsupported-platform",
        "the QUIC library has no binary for this platform",
        {
          hint: "QUIC runs on linux-x64 with glibc, macOS and Windows x64",
          cause,
        },
      );
    },
  );
  return loaded;
}
