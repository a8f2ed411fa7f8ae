export {
  type AgreementBinding,
  type TlsBinding,
  verifyAgreementBinding,
  verifyTlsBinding,
} from "./bindings.ts";
export {
  type DeviceId,
  deviceIdOf,
  fingerprintOf,
  foldDeviceId,
  formatDeviceId,
  isDeviceId,
  parseDeviceId,
  shortDeviceId,
} from "./device-id.ts";
export {
  type AgreementIdentity,
  DeviceIdentity,
  type IdentityFacts,
  type OpenIdentityOptions,
} from "./device-identity.ts";
export type { TlsIdentity } from "./tls-identity.ts";
