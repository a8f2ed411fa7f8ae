import { GatehouseError } from "../core/index.ts";
import { createOnce } from "../files/index.ts";

const MODULE_PIXELS = 8;
/** ISO/IEC 18004 wants four light modules around the code. */
const QUIET_MODULES = 4;

/**
 * Writes the QR code of a pairing URI as a PNG image that only this user may read: it holds the secret. It never
 * replaces a file.
 * @throws file.exists, file.not-found when the directory is missing, file.io
 */
export async function writePairingPng(path: string, uri: string): Promise<void> {
  const { toBuffer } = await import("qrcode");
  const image = await toBuffer(uri, {
    ...{ type: "png", errorCorrectionLevel: "L", scale: MODULE_PIXELS, margin: QUIET_MODULES },
  });
  if ((await createOnce(path, image)) === "created") return;
  throw new GatehouseError("file.exists", `${path} is there already`, {
    hint: "name another file for --qr-png, or remove this one",
  });
}
