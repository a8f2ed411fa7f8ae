import type { Random } from "../core/index.ts";
import { ensurePrivateDir, type HomeLayout } from "../files/index.ts";
import { DeviceIdentity } from "../identity/index.ts";
import { keyFileProvider, writeKeyPointer } from "../keystore/index.ts";

export interface HomeIdentityOptions {
  /** Where key files lie; outside of the home. */
  readonly keyDir: string;
  readonly random: Random;
}

/**
 * The identity of a home that serves, sealed under a key file outside of it whatever opens the vault: its own command line is
 * the owner and must get in without being asked, a copy of the home must not.
 */
export async function openServingIdentity(
  { identityDir, keyPointerFile }: HomeLayout,
  mode: "open" | "create",
  { keyDir, random }: HomeIdentityOptions,
): Promise<DeviceIdentity> {
  const options = { random, keys: keyFileProvider({ dir: keyDir, random }) };
  if (mode === "create") await ensurePrivateDir(identityDir);
  const identity = await (mode === "create"
    ? DeviceIdentity.openOrCreate(identityDir, options)
    : DeviceIdentity.open(identityDir, options));
  await writeKeyPointer(keyPointerFile, keyDir);
  return identity;
}
