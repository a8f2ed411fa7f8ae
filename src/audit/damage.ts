import { GatehouseError } from "../core/index.ts";

/** Where a log stops being what was written. */
export interface DamagePlace {
  /** Name of the file, without its directory. */
  readonly file: string;
  /** Byte at which the part that does not verify begins. */
  readonly offset: number;
  /** The first record that is not vouched for, where the records before it were read. */
  readonly sequence: number | undefined;
}

/** `audit.damaged`, with the place. */
export class AuditDamage extends GatehouseError<"audit.damaged"> {
  readonly place: DamagePlace;

  constructor(what: string, place: DamagePlace, cause?: unknown) {
    const record = place.sequence === undefined ? "" : `, record ${place.sequence}`;
    super("audit.damaged", `${place.file} at byte ${place.offset}${record}: ${what}`, {
      hint: "keep the file as it is for inspection; restore the audit directory from a backup or move it away",
      cause,
    });
    this.place = place;
  }
}
