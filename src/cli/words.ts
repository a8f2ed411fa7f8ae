const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
] as const;

/** `2 minutes`, `29 days`: rounded down to its largest unit; under a second, `a moment`. */
export function roughDuration(durationMs: number): string {
  const [name, sizeMs] = UNITS.find(([, size]) => durationMs >= size) ?? ["", 0];
  return sizeMs === 0 ? "a moment" : plural(Math.floor(durationMs / sizeMs), name);
}

/** `3 minutes ago`, `in 29 days`, or `never` for 0. */
export function ago(atMs: number, nowMs: number): string {
  if (atMs === 0) return "never";
  const distance = roughDuration(Math.abs(atMs - nowMs));
  return atMs > nowMs ? `in ${distance}` : `${distance} ago`;
}

/** `3 minutes ago (2026-11-23 20:31)`, `in 29 days (…)`, or `never` for 0; the local time zone. */
export function relativeDate(atMs: number, nowMs: number): string {
  return atMs === 0 ? "never" : `${ago(atMs, nowMs)} (${localDate(atMs)})`;
}

function localDate(atMs: number): string {
  return localTime(atMs).slice(0, -3);
}

/** `2026-11-23 20:31:05`, in the local time zone. */
export function localTime(atMs: number): string {
  const date = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":")}`;
}

/** `1:05`: what is left of a countdown. */
export function countdown(remainingMs: number): string {
  const seconds = Math.max(0, Math.ceil(remainingMs / 1_000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** `340 B`, `1.5 KiB`, `1.0 MiB`. */
export function byteSize(sizeBytes: number): string {
  if (sizeBytes < 1_024) return `${sizeBytes} B`;
  return sizeBytes < 1_048_576
    ? `${(sizeBytes / 1_024).toFixed(1)} KiB`
    : `${(sizeBytes / 1_048_576).toFixed(1)} MiB`;
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** `3f2a 91c0 …`: groups of four, for comparing by eye. */
export function grouped(text: string, size = 4): string {
  return text.match(new RegExp(`.{1,${size}}`, "gu"))?.join(" ") ?? "";
}
