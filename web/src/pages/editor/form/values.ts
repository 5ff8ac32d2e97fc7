// How values of a definition are written into inputs and read from them.

const parsed = (text: string): { value: unknown } | undefined => {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
};

// written is a value as it is typed: a text as it is, unless it would be read
// as something else, and all other values as JSON.
export function written(value: unknown, text: boolean): string {
  if (value === undefined || value === null) return value === null ? "null" : "";
  if (typeof value === "string") return text || !parsed(value) ? value : JSON.stringify(value);
  if (typeof value === "bigint") return String(value);
  const line = JSON.stringify(value);
  return line.length > 60 ? JSON.stringify(value, null, 2) : line;
}

// typed is what was typed as a value. Text alone is taken as text.
export function typed(source: string, text: boolean): unknown {
  if (text) return source;
  // A whole number that a double does not hold stays what it is.
  if (/^-?\d{16,}$/.test(source.trim())) return BigInt(source.trim());
  const json = parsed(source);
  return json ? json.value : source;
}

// same reports whether two values are written alike.
export const same = (a: unknown, b: unknown): boolean => written(a, false) === written(b, false);

// isText reports whether a JSON Schema takes texts alone.
export function isText(schema: unknown): boolean {
  return typeof schema === "object" && schema !== null && "type" in schema && schema.type === "string";
}
