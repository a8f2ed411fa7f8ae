import { basename } from "node:path";
import { GatehouseError } from "../core/index.ts";

/** The `code` of a Node system error, such as `ENOENT`. */
export function errnoOf(failure: unknown): string | undefined {
  if (!(failure instanceof Error) || !("code" in failure)) return undefined;
  return typeof failure.code === "string" ? failure.code : undefined;
}

/**
 * A system error as one of ours. Only the file's own name goes into the message, since messages may reach a peer;
 * the whole path stays in `cause`.
 */
export function fileFailure(failure: unknown, path: string): GatehouseError {
  if (failure instanceof GatehouseError) return failure;
  const name = basename(path);
  const errno = errnoOf(failure);
  switch (errno ?? "") {
    case "ENOENT":
      return new GatehouseError("file.not-found", `${name} does not exist`, { cause: failure });
    case "EEXIST":
      return new GatehouseError("file.exists", `${name} exists already`, { cause: failure });
    case "ENOSPC":
    case "EDQUOT":
      return ioFailure(failure, `no space left to write ${name}`, "free some disk space");
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return ioFailure(failure, `not allowed to use ${name}`, "check the owner and mode of the file");
    default:
      return ioFailure(
        failure,
        `input or output failed on ${name}${errno === undefined ? "" : ` (${errno})`}`,
      );
  }
}

/** Runs `work`; what it throws of the system's errors comes out as one of ours. */
export async function withFile<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (failure) {
    throw fileFailure(failure, path);
  }
}

function ioFailure(cause: unknown, message: string, hint?: string): GatehouseError {
  return new GatehouseError("file.io", message, hint === undefined ? { cause } : { cause, hint });
}
