import type { Client } from "./client.ts";
import { Device, type DeviceConnectOptions } from "./device.ts";
import { type CredentialsConnectOptions, connectWithCredentials } from "./with-credentials.ts";

export interface ConnectOptions extends DeviceConnectOptions {
  /** This device's install. */
  readonly home: string;
}

/**
 * Opens the install at `home` and connects; see `Device`.
 *
 * Or, without a home, with a certificate and key that the caller holds. Then nothing is written anywhere: tickets to come back
 * with are forgotten with the client, no change waits and no secret is kept for later, and nothing renews the certificate.
 * When it has run out, this and every call fail with `certificate.expired`.
 *
 * @throws as `Device.connect`; without a home usage.bad-argument, identity.bad-device-id and certificate.* for what does not
 * read, or does not belong together
 */
export async function connect(options: ConnectOptions | CredentialsConnectOptions): Promise<Client> {
  if (!("home" in options)) return await connectWithCredentials(options);
  const { home, ...own } = options;
  return await (await Device.open(home)).connect(own);
}
