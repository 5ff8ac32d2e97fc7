// How two values differ, member by member.

export interface Difference {
  path: string; // "" is the whole value
  a: unknown; // undefined where it is absent
  b: unknown;
}

// The most differences that are listed.
export const most = 200;

// differences lists where two values differ, the first so many.
export function differences(a: unknown, b: unknown): Difference[] {
  const list: Difference[] = [];
  walk("", a, b, list);
  return list;
}

function walk(path: string, a: unknown, b: unknown, list: Difference[]): void {
  if (list.length >= most || Object.is(a, b)) return;
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.max(a.length, b.length); i++) walk(`${path}[${i}]`, a[i], b[i], list);
    return;
  }
  if (isObject(a) && isObject(b)) {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      walk(path ? `${path}.${key}` : key, a[key], b[key], list);
    }
    return;
  }
  list.push({ path, a, b });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
