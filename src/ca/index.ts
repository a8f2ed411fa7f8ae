export { DeviceCa, type DeviceCaOptions, type KeyCodec } from "./device-ca.ts";
export type { DeviceRow, DeviceSight, DeviceStore } from "./device-store.ts";
export { type AdmittedDevice, DeviceRegistry, type DeviceRegistryOptions } from "./registry.ts";
