import { createRequire } from "node:module";

/** A peer of `bench/package.json` that is not installed. */
export class PeerMissing extends Error {
  override readonly name = "PeerMissing";

  constructor(module: string) {
    super(
      `${module} is not installed: run npm ci --prefix bench to install what the vault is measured beside`,
    );
  }
}

const require = createRequire(import.meta.url);

/** Its face is for the caller to say: a clone without the peers has none of their types. @throws PeerMissing */
export function requirePeer(module: string): unknown {
  try {
    require.resolve(module);
  } catch {
    throw new PeerMissing(module);
  }
  return require(module);
}
