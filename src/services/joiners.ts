import { GatehouseError } from "../core/index.ts";
import { type DeviceId, foldDeviceId, parseDeviceId } from "../identity/index.ts";

const PREFIX_CHARACTERS_MIN = 8;

/** Somebody who has proven a pairing code, as policies see it: it would have one role. */
export interface JoinerFacts {
  readonly id: DeviceId;
  readonly roles: readonly string[];
  readonly name: string;
}

/** The one of `waiting` whose id begins with `text`, in any accepted spelling. @throws pairing.not-waiting */
export function joinerNamed(
  text: string,
  waiting: readonly { readonly deviceId: string; readonly role: string; readonly name: string }[],
): JoinerFacts {
  const prefix = foldDeviceId(text);
  const matches =
    prefix.length < PREFIX_CHARACTERS_MIN
      ? []
      : waiting.filter(({ deviceId }) => deviceId.startsWith(prefix));
  const [joiner] = matches;
  if (joiner === undefined || matches.length > 1) {
    throw new GatehouseError("pairing.not-waiting", "nobody by that id waits for a yes", {
      hint: "see who waits with: gatehouse device approve",
    });
  }
  return { id: parseDeviceId(joiner.deviceId), roles: [joiner.role], name: joiner.name };
}
