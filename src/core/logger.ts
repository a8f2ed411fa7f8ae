export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Structured log lines. `event` is a stable kebab-case name; fields never hold secrets or secret paths. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

const nothing = (): void => undefined;

export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
