/** This device's certificate and key as files, for programs that speak TLS themselves, such as a stock gRPC client. */
import { join } from "node:path";
import type { DeviceCredentials } from "../../client/index.ts";
import { GatehouseError, utf8 } from "../../core/index.ts";
import { ensurePrivateDir, listNames, writeAtomic } from "../../files/index.ts";
import type { Context } from "../context.ts";
import { printable } from "../style.ts";
import { relativeDate } from "../words.ts";

interface ExportOptions {
  readonly out: string;
  readonly force?: boolean;
}

export async function exportFiles(
  context: Context,
  [name]: readonly string[],
  { out, force = false }: ExportOptions,
): Promise<undefined> {
  const { exportCredentials } = await import("../../client/index.ts");
  const credentials = await exportCredentials(context.config.home, name);
  checkDates(context, credentials);
  await ensurePrivateDir(out);
  if (!force) await checkFree(out);
  // Whoever reads while this goes on is to meet a key that is there before its certificate.
  await writeAtomic(join(out, FILES.key), utf8(credentials.identity.privateKeyPem));
  await writeAtomic(join(out, FILES.certificate), utf8(credentials.identity.certificatePem));
  await writeAtomic(join(out, FILES.authorities), utf8(credentials.gatehouse.caPem));
  tell(context, credentials, out);
}

const FILES = { authorities: "authorities.pem", certificate: "certificate.pem", key: "key.pem" } as const;

function checkDates({ commandLine }: Context, { gatehouse, certificateExpiresAt }: DeviceCredentials): void {
  if (certificateExpiresAt > Date.now()) return;
  throw new GatehouseError(
    "certificate.expired",
    `this device's certificate at ${gatehouse.name} has run out`,
    {
      hint: `renew it first: ${commandLine("device renew --on NAME")}`,
    },
  );
}

async function checkFree(out: string): Promise<void> {
  const names = await listNames(out);
  const found = Object.values(FILES).find((file) => names.includes(file));
  if (found === undefined) return;
  throw new GatehouseError("file.exists", `${join(out, found)} is there already`, {
    hint: "replace it with --force, for example after the certificate was renewed",
  });
}

function tell({ output }: Context, credentials: DeviceCredentials, out: string): void {
  const { gatehouse, certificateExpiresAt } = credentials;
  const { name, id, address, grpc, serverName } = gatehouse;
  const files = {
    authorities: join(out, FILES.authorities),
    certificate: join(out, FILES.certificate),
    key: join(out, FILES.key),
  };
  const document = { name, deviceId: id, address, grpc, serverName, certificateExpiresAt, files };
  output.done({ exported: document }, () =>
    [
      `wrote ${Object.values(FILES).join(", ")} to ${printable(out)}`,
      `address       ${printable(address)}`,
      ...(grpc === address ? [] : [`gRPC          ${printable(grpc)}`]),
      `server name   ${serverName}`,
      `certificate   expires ${relativeDate(certificateExpiresAt, Date.now())}`,
    ].join("\n"),
  );
  output.note(
    `${FILES.key} is a copy of this device's key: whoever reads it is this device at ${printable(name)}.`,
  );
  output.note("Nothing renews the copies: export again, with --force, before the certificate expires.");
}
