/** Tools as the configuration declares them. All of it is frozen and bounded by `LIMITS.tool…`. */

export interface ToolDefinition {
  readonly name: string;
  readonly description: string;
  /** At least one; the first is an absolute path and takes no parameters. */
  readonly command: readonly CommandElement[];
  /** Absolute. */
  readonly directory: string;
  readonly timeoutMs: number;
  /** Of both streams together, as callers see them. */
  readonly outputBytesMax: number;
  /** How many of it may run at once. */
  readonly concurrency: number;
  readonly needsApproval: boolean;
  readonly groups: readonly string[];
  /** Nothing is inherited: this, a PATH and LANG where it names none, the secrets, and in a sandbox PWD. */
  readonly environment: Readonly<Record<string, string>>;
  /** Environment variable to vault path; no variable is in `environment` too, and none decides which code runs. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Sorted by name. */
  readonly parameters: readonly ToolParameter[];
  readonly account: ToolAccount | undefined;
  readonly sandbox: ToolSandbox | undefined;
  readonly limits: ToolLimits;
  /** The operator accepts that it can do what the daemon can. */
  readonly mayRunAsDaemon: boolean;
}

/** One argument of the command, taken apart at its parameters. */
export interface CommandElement {
  /** As it was written. */
  readonly template: string;
  readonly parts: readonly CommandPart[];
}

export type CommandPart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "parameter"; readonly name: string };

interface ParameterBase {
  /** A lower-case letter, then lower-case letters, digits and underscores. */
  readonly name: string;
  readonly description: string;
  /** In canonical form; without one the argument must be given. */
  readonly default: string | undefined;
  /** Whether a value may begin an argument with `-`, where programs look for options. */
  readonly allowsDash: boolean;
}

export interface StringParameter extends ParameterBase {
  readonly type: "string";
  /** Source of a regular expression with the `u` flag that must match the whole value. */
  readonly pattern: string | undefined;
  /** In characters (code points). */
  readonly lengthMax: number;
  readonly isMultiline: boolean;
}

export interface IntegerParameter extends ParameterBase {
  readonly type: "integer";
  readonly min: number;
  readonly max: number;
}

export interface BooleanParameter extends ParameterBase {
  readonly type: "boolean";
}

export interface ChoiceParameter extends ParameterBase {
  readonly type: "choice";
  /** At least one. */
  readonly choices: readonly string[];
}

export type ToolParameter = StringParameter | IntegerParameter | BooleanParameter | ChoiceParameter;

/** Names are looked up in the machine's own files when the tool is started. */
export interface ToolAccount {
  readonly user: string | number;
  /** By default the user's own. */
  readonly group: string | number | undefined;
}

export interface ToolSandbox {
  readonly kind: "bubblewrap";
  /** Absolute and normal; none lies inside of a path that may be written. */
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly hasNetwork: boolean;
}

/** Of each process, but for `processes`: that counts all of the user's, in a sandbox those in it. */
export interface ToolLimits {
  /** Private writable memory. */
  readonly memoryBytes: number | undefined;
  readonly cpuSeconds: number | undefined;
  readonly processes: number | undefined;
  readonly openFiles: number | undefined;
  readonly fileSizeBytes: number | undefined;
}
