import { asDevice, type DeviceDocument } from "../device-document.ts";
import { collectPages } from "../pages.ts";
import type { Session } from "../session.ts";

/** Every device that the gatehouse knows, in its order. */
export async function listDevices({ client, methods, options }: Session): Promise<readonly DeviceDocument[]> {
  return collectPages(async (pageToken) => {
    const { devices, nextPageToken } = await client.call(methods.Device.List, { pageToken }, options);
    return { items: devices.map(asDevice), nextPageToken };
  });
}
