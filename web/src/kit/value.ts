// How JSON values are told in short.

export type Members = [name: string | number, value: unknown][];

// membersOf are the members of an object or array, or undefined for another value.
export function membersOf(value: unknown): Members | undefined {
  if (Array.isArray(value)) return value.map((v, i) => [i, v]);
  if (typeof value === "object" && value !== null) return Object.entries(value);
  return undefined;
}

const previewed = 60; // characters of a preview

// preview is what is in a value that is closed: "{a, b, c}", "[12 items]".
export function preview(value: unknown): string {
  if (Array.isArray(value)) return value.length === 1 ? "[1 item]" : `[${value.length} items]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  const names = Object.keys(value);
  let text = names.join(", ");
  if (text.length > previewed) text = `${text.slice(0, previewed)}…`;
  return `{${text}}`;
}

// How much of a text is shown at first.
const shownLines = 12;
const shownCharacters = 800;

// cut is the beginning of a long text, or the whole of one that is not.
export function cut(text: string): string {
  let end = Math.min(text.length, shownCharacters);
  let line = -1;
  for (let i = 0; i < shownLines; i++) {
    line = text.indexOf("\n", line + 1);
    if (line < 0) break;
    if (i === shownLines - 1) end = Math.min(end, line);
  }
  // A little more is shown whole: it is not worth a click.
  return text.length - end < 100 && text.slice(end).split("\n").length < 4 ? text : text.slice(0, end);
}
