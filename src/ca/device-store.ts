/** How a device came when it was seen. */
export interface DeviceSight {
  /** Unix ms. */
  readonly at: number;
  readonly wire: "quic" | "grpc";
  /** IP address. */
  readonly address: string;
}

/** What a gatehouse remembers of a paired device, as far as admission asks. Times in Unix ms. */
export interface DeviceRow {
  /** Canonical device id. */
  readonly id: string;
  readonly name: string;
  readonly roles: readonly string[];
  /** SHA-256 of the TLS key's SubjectPublicKeyInfo, pinned. */
  readonly spkiSha256: Uint8Array;
  /** The same of a key that a renewal certified, until it is used. */
  readonly nextSpkiSha256: Uint8Array | undefined;
  readonly state: "active" | "quarantined" | "held" | "revoked";
  readonly revokedAt: number | undefined;
  /** Until then it may come in with an expired certificate, to renew it. */
  readonly readmittedUntil: number | undefined;
  readonly lastSeen: DeviceSight | undefined;
}

/** Where device rows live, with the rules for changing them; the daemon supplies it from the vault. */
export interface DeviceStore<Row extends DeviceRow> {
  get(id: string): Row | undefined;
  /** In order of pairing. */
  list(): readonly Row[];
  /** `listener` gets each row right after its change is on disk. */
  subscribe(listener: (row: Row) => void): Disposable;
}
