// How values of a definition are written into inputs and read from them.

// Whole numbers that a double does not hold keep their digits, both ways.
const digits = (_: string, value: unknown, at?: { source?: string }): unknown =>
  typeof value === "number" && at?.source && /^-?\d{16,}$/.test(at.source) ? BigInt(at.source) : value;

export const parse = (text: string): unknown => JSON.parse(text, digits);

export function format(value: unknown, space?: number): string {
  const marked = JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `\u0000${v}` : v), space);
  return marked.replace(/"\\u0000(-?\d+)"/g, "$1");
}

const parsed = (text: string): { value: unknown } | undefined => {
  try {
    return { value: parse(text) };
  } catch {
    return undefined;
  }
};

// written is a value as it is typed: a text as it is, unless it would be read
// as something else, and all other values as JSON.
export function written(value: unknown, text: boolean): string {
  if (value === undefined || value === null) return value === null ? "null" : "";
  if (typeof value === "string") return text || !parsed(value) ? value : format(value);
  const line = format(value);
  return line.length > 60 ? format(value, 2) : line;
}

// typed is what was typed as a value. Text alone is taken as text.
export function typed(source: string, text: boolean): unknown {
  if (text) return source;
  const json = parsed(source);
  return json ? json.value : source;
}

// same reports whether two values are written alike.
export const same = (a: unknown, b: unknown): boolean => written(a, false) === written(b, false);

// isText reports whether a JSON Schema takes texts alone.
export function isText(schema: unknown): boolean {
  return typeof schema === "object" && schema !== null && "type" in schema && schema.type === "string";
}
