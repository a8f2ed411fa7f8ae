export { DeviceCa, type DeviceCaOptions, type KeyCodec } from "./device-ca.ts";
export type { DeviceRow, DeviceStore } from "./device-store.ts";
export { DeviceRegistry, type DeviceRegistryOptions } from "./registry.ts";
