import { isGatehouseError, type Random } from "../core/index.ts";
import { ensurePrivateDir, type HomeLayout } from "../files/index.ts";
import { DeviceIdentity } from "../identity/index.ts";
import { type KeyProvider, keyFileProvider, RECOVERY_KIND, writeKeyPointer } from "../keystore/index.ts";
import { restoreIdentity } from "./recovery.ts";

export interface HomeIdentityOptions {
  /** Where key files lie; outside of the home. */
  readonly keyDir: string;
  readonly random: Random;
  /** What opens the vault. */
  readonly kek?: KeyProvider | undefined;
}

/**
 * The identity of a home that serves, sealed under a key file outside of it whatever opens the vault: its own command line is
 * the owner and must get in without being asked, a copy of the home must not. With the recovery key in the vault key's place,
 * a copy whose key file is not there gets a new one.
 */
export async function openServingIdentity(
  layout: HomeLayout,
  mode: "open" | "create",
  options: HomeIdentityOptions,
): Promise<DeviceIdentity> {
  const identity = await openOrRestore(layout, mode, options);
  await writeKeyPointer(layout.keyPointerFile, options.keyDir);
  return identity;
}

async function openOrRestore(
  layout: HomeLayout,
  mode: "open" | "create",
  options: HomeIdentityOptions,
): Promise<DeviceIdentity> {
  try {
    return await openIdentity(layout, mode, options);
  } catch (failure) {
    const { kek, keyDir, random } = options;
    if (kek?.kind !== RECOVERY_KIND || !isGatehouseError(failure, "key.missing")) throw failure;
    return await restoreIdentity(layout, { recovery: kek, keyDir, random });
  }
}

async function openIdentity(
  { identityDir }: HomeLayout,
  mode: "open" | "create",
  { keyDir, random }: HomeIdentityOptions,
): Promise<DeviceIdentity> {
  const options = { random, keys: keyFileProvider({ dir: keyDir, random }) };
  if (mode === "create") await ensurePrivateDir(identityDir);
  return await (mode === "create"
    ? DeviceIdentity.openOrCreate(identityDir, options)
    : DeviceIdentity.open(identityDir, options));
}
