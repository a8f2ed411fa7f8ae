import type { Context } from "../context.ts";
import { type RemoteOption, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { relativeDate } from "../words.ts";

interface RenewOptions extends RemoteOption {
  readonly newKey?: boolean;
}

/** The device that asks is this one: nobody renews another's certificate. */
export async function renew(
  context: Context,
  _args: readonly string[],
  options: RenewOptions,
): Promise<undefined> {
  const { newKey = false } = options;
  const renewed = await withSession(context, options, async ({ client, options: call }) => {
    const { expiresAt } = await client.renew({ newKey, ...call });
    return { gatehouse: client.remote.name, newKey, certificate: { expiresAt } };
  });
  context.output.done(renewed, () => {
    const what = newKey ? "certificate, for a new key," : "certificate";
    const until = relativeDate(renewed.certificate.expiresAt, Date.now());
    return `renewed the ${what} at ${printable(renewed.gatehouse)}; it expires ${until}`;
  });
}
