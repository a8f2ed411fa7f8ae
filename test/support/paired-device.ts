import { type Daemon, Install, isObject, text } from "./gatehouse-process.ts";

/** An install that has joined a gatehouse. */
export interface PairedDevice extends AsyncDisposable {
  readonly install: Install;
  /** The name it knows the gatehouse by. */
  readonly on: string;
  readonly id: string;
}

/** A fresh install that joins with the code of `--open-pairing`. */
export async function pairDevice(daemon: Daemon, name: string): Promise<PairedDevice> {
  const { code } = await daemon.event("pairing-open");
  const install = await Install.create();
  try {
    const joined = await install.json(["pair", "join", daemon.address, "--code", text(code), "--name", name]);
    const { gatehouse, device } = joined;
    if (!isObject(gatehouse) || !isObject(device)) throw new Error("pair join answered another shape");
    return {
      install,
      on: text(gatehouse["name"]),
      id: text(device["id"]),
      [Symbol.asyncDispose]: () => install[Symbol.asyncDispose](),
    };
  } catch (failure) {
    await install[Symbol.asyncDispose]();
    throw failure;
  }
}
