import { isGatehouseError } from "../core/index.ts";
import { foldDeviceId, parseDeviceId } from "../identity/index.ts";
import type { Joiner } from "./question.ts";
import { notWaiting } from "./refusals.ts";

/** As many as the short form that people are shown. */
const PREFIX_CHARACTERS_MIN = 8;

/**
 * The joiner that `text` means: by its device id in any accepted spelling, or by that id's first 8 characters or more.
 * @throws GatehouseError `pairing.not-waiting`, with a hint when several match.
 */
export function findJoiner(waiting: readonly Joiner[], text: string): Joiner {
  const [only, ...others] = matches(waiting, text);
  if (only === undefined) throw notWaiting();
  if (others.length > 0)
    throw notWaiting(`${others.length + 1} who wait match: name the device by its whole id`);
  return only;
}

function matches(waiting: readonly Joiner[], text: string): readonly Joiner[] {
  const id = parsedId(text);
  if (id !== undefined) return waiting.filter(({ deviceId }) => deviceId === id);
  const prefix = likeness(foldDeviceId(text));
  if (prefix.length < PREFIX_CHARACTERS_MIN) return [];
  return waiting.filter(({ deviceId }) => likeness(deviceId).startsWith(prefix));
}

/** i, l and 1 look alike. */
function likeness(text: string): string {
  return text.replace(/[1l]/g, "i");
}

function parsedId(text: string): string | undefined {
  try {
    return parseDeviceId(text);
  } catch (error) {
    if (isGatehouseError(error)) return undefined;
    throw error;
  }
}
