import { GatehouseError, isGatehouseError, systemRandom } from "../core/index.ts";
import { checkPrivate, type HomeLayout } from "../files/index.ts";
import { DeviceIdentity } from "../identity/index.ts";
import { type KeyProvider, keyFileProvider, readKeyPointer } from "../keystore/index.ts";

/** This home's identity. @throws remote.none when nothing was ever paired or made here, home.bad-permissions */
export async function openHomeIdentity(layout: HomeLayout): Promise<DeviceIdentity> {
  try {
    await checkPrivate(layout.root);
    return await DeviceIdentity.open(layout.identityDir, { keys: await homeKeys(layout) });
  } catch (failure) {
    if (!isGatehouseError(failure, "file.not-found") && !isGatehouseError(failure, "home.not-initialized"))
      throw failure;
    throw new GatehouseError("remote.none", "this home is not paired with any gatehouse", {
      hint: "pair it first: gatehouse pair join HOST:PORT; or make a gatehouse here: gatehouse init",
      cause: failure,
    });
  }
}

/** What opens the identity of a home that serves; undefined in others, where it lies open. @throws file.damaged, file.io */
export async function homeKeys({ keyPointerFile }: HomeLayout): Promise<KeyProvider | undefined> {
  const keyDir = await readKeyPointer(keyPointerFile);
  return keyDir === undefined ? undefined : keyFileProvider({ dir: keyDir, random: systemRandom });
}
