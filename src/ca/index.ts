export {
  type CaGeneration,
  DeviceCa,
  type DeviceCaOptions,
  type IssuedByGeneration,
  type RevokedOfGeneration,
} from "./device-ca.ts";
export type { DeviceRow, DeviceSight, DeviceStore } from "./device-store.ts";
export type { KeyCodec } from "./generation-file.ts";
export { type AdmittedDevice, DeviceRegistry, type DeviceRegistryOptions } from "./registry.ts";
