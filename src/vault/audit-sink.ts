/**
 * Who keeps the audit log. The vault writes each mutation's events into the mutation's own journal record and
 * hands them over once that is on disk, in order; what a crash kept from being handed over comes again at open.
 */
export interface AuditSink {
  /** The newest journal sequence whose events this log holds; 0 when none. Read at open. */
  readonly lastJournalSequence: number;
  /**
   * Appends the events of one transaction. Calls come in order of `sequence`, the next one possibly before the
   * answer to the last one settled. `events` is never empty; the bytes are the sink's to keep. Once a call failed,
   * all later ones must: the log has no holes, and the vault takes no changes until both are opened anew.
   */
  committed(sequence: number, events: readonly Uint8Array[]): Promise<void> | void;
  /** Everything committed so far is on disk when this settles: the vault then drops its own copy. */
  sync(): Promise<void>;
}
