/** What a gatehouse remembers of a paired device, as far as admission asks. Times in Unix ms. */
export interface DeviceRow {
  /** Canonical device id. */
  readonly id: string;
  readonly name: string;
  readonly role: string;
  /** SHA-256 of the TLS key's SubjectPublicKeyInfo, pinned. */
  readonly spkiSha256: Uint8Array;
  readonly state: "active" | "quarantined" | "revoked";
  readonly revokedAt: number | undefined;
}

/** Where device rows live, with the rules for changing them; the daemon supplies it from the vault. */
export interface DeviceStore<Row extends DeviceRow> {
  get(id: string): Row | undefined;
  /** In order of pairing. */
  list(): readonly Row[];
  /** `listener` gets each row right after its change is on disk. */
  subscribe(listener: (row: Row) => void): Disposable;
}
