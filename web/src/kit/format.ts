// How things are written, in the reader's language and zone.

const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const times = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const numbers = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });

export function date(at: string | number): string {
  return dates.format(new Date(at));
}

export function clock(at: string | number): string {
  return times.format(new Date(at));
}

const units: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600_000],
  ["month", 2_629_800_000],
  ["week", 604_800_000],
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
];

// ago is how long before now, or after, a time is: "2 min. ago".
export function ago(at: string | number, now: number): string {
  const away = new Date(at).getTime() - now;
  for (const [unit, size] of units) {
    if (Math.abs(away) >= size) return relative.format(Math.trunc(away / size), unit);
  }
  return relative.format(0, "second");
}

// span is how long something took, in milliseconds: "1.2 s", "3 m 5 s".
export function span(ms: number): string {
  if (ms < 0) return "0 ms";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  const s = Math.round(ms / 1_000);
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} m ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h ${Math.floor((s % 3_600) / 60)} m`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3_600)} h`;
}

export function number(n: number): string {
  return numbers.format(n);
}

export function short(n: number): string {
  return compact.format(n);
}

// money is an amount in millionths of a US dollar.
export function money(micros: number): string {
  const dollars = micros / 1_000_000;
  const digits = dollars !== 0 && Math.abs(dollars) < 0.01 ? 6 : 2;
  return `$${dollars.toFixed(digits)}`;
}

// plural is a number of things: "1 run", "2 runs".
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${number(n)} ${n === 1 ? one : many}`;
}
