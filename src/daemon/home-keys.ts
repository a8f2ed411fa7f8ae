import { homeLayout } from "../files/index.ts";
import { vaultKeyKinds } from "../vault/index.ts";

/** Kinds of the key providers that open the vault of `home`; none where no gatehouse was made. @throws vault.damaged, file.io */
export async function homeKeyKinds(home: string): Promise<readonly string[]> {
  return await vaultKeyKinds(homeLayout(home).vaultDir);
}
