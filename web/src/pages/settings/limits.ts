import type { Schemas } from "@/api/client";

export type Current = Schemas["Current"];
export type Setting = keyof Schemas["Update"];
export type Values = Record<Setting, string>;

// What can be set, as a reader knows it.
export const fields: { name: Setting; label: string; hint: string }[] = [
  { name: "limit_sign_in", label: "Sign-in", hint: "How often somebody may try to sign in, from one network." },
  { name: "limit_write", label: "Changes", hint: "How often a user may change something." },
  { name: "limit_read", label: "Reads", hint: "How often a user may read something." },
  { name: "limit_token", label: "API tokens", hint: "How often a token may ask for anything." },
  {
    name: "audit_kept",
    label: "Audit entries are kept",
    hint: "24h at least, in hours, minutes and seconds; 0s is for ever.",
  },
];

// valuesOf is what can be set, as it is.
export function valuesOf(c: Current): Values {
  return Object.fromEntries(fields.map(({ name }) => [name, c[name]])) as Values;
}

// changesOf is what of the values differs from how it was.
export function changesOf(was: Values, values: Values): Partial<Values> {
  const changes: Partial<Values> = {};
  for (const { name } of fields) {
    const value = values[name].trim();
    if (value !== was[name]) changes[name] = value;
  }
  return changes;
}

// deletes reports whether changes have entries deleted, which nobody gets back.
export function deletes(changes: Partial<Values>): boolean {
  return /[1-9]/.test(changes.audit_kept ?? "");
}

const rate = /^(\d{1,7})\/(s|min|h|(\d+(\.\d+)?(s|m|h))+)$/;
const span = /^(\d+(\.\d+)?(s|m|h))+$/;

// problemOf is what is wrong with how a value is written. The service judges
// the rest.
export function problemOf(name: Setting, value: string): string | undefined {
  const text = value.trim();
  if (name === "audit_kept") {
    return span.test(text) ? undefined : "must be a time such as 720h or 8760h, or 0s for ever";
  }
  const requests = Number(rate.exec(text)?.[1]);
  return requests >= 1 && requests <= 1_000_000
    ? undefined
    : "must be a number of requests, a slash and a time, such as 30/min, 5/s or 600/1h30m";
}
