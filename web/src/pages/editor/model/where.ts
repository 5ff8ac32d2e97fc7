import { isMap, isScalar, isSeq } from "yaml";
import type { Doc } from "./text";

// Place is where a fault stands: in the text, and in which field of which node.
export interface Place {
  from: number; // in the text
  to: number;
  node: string | undefined;
  field: string | undefined; // of the node, "retry.factor"
}

// Step takes the first part off a path as the service writes it. Keys may hold
// dots, so the longest key that fits is taken.
function step(node: unknown, path: string): { key: unknown; value: unknown; name: string; rest: string } | undefined {
  if (isSeq(node)) {
    const found = /^\[(\d+)\]\.?/.exec(path);
    const item = found && node.items[Number(found[1])];
    return found && item
      ? { key: item, value: item, name: found[1] as string, rest: path.slice(found[0].length) }
      : undefined;
  }
  if (!isMap(node)) return undefined;
  let best: { key: unknown; value: unknown; name: string; rest: string } | undefined;
  for (const pair of node.items) {
    const name = String(isScalar(pair.key) ? pair.key.value : pair.key);
    const next = path.slice(name.length);
    if (!path.startsWith(name) || (next !== "" && next[0] !== "." && next[0] !== "[")) continue;
    if (!best || name.length > best.name.length) {
      best = { key: pair.key, value: pair.value, name, rest: next.replace(/^\./, "") };
    }
  }
  return best;
}

const rangeOf = (node: unknown): [number, number] | undefined => {
  const range = (node as { range?: [number, number, number] } | null)?.range;
  return range ? [range[0], range[1]] : undefined;
};

// whereIs finds the place of a fault by its path, as far as that leads.
export function whereIs(doc: Doc, text: string, path: string): Place {
  const line = /^line (\d+)$/.exec(path);
  if (line) {
    const [from, to] = lineAt(text, Number(line[1]));
    return { from, to, node: undefined, field: undefined };
  }
  let rest = path.replace(/^definition\./, "");
  const whole = rest;
  let node: unknown = doc.contents;
  let range: [number, number] = [0, lineAt(text, 1)[1]];
  const names: string[] = [];
  for (let next = step(node, rest); rest !== "" && next; next = step(node, rest)) {
    range = rangeOf(next.key) ?? range;
    names.push(next.name);
    node = next.value;
    rest = next.rest;
    if (rest === "" && isScalar(node) && rangeOf(node)) {
      const [from, to] = rangeOf(node) as [number, number];
      if (to > from) range = [from, to];
    }
  }
  const [first, id] = names;
  const inNode = first === "nodes" && id !== undefined;
  const prefix = `nodes.${id}`;
  return {
    from: range[0],
    to: Math.max(range[1], range[0]),
    node: inNode ? id : undefined,
    field: inNode ? whole.slice(prefix.length + 1) : whole,
  };
}

export function lineAt(text: string, number: number): [number, number] {
  let from = 0;
  for (let n = 1; n < number; n++) {
    const end = text.indexOf("\n", from);
    if (end < 0) break;
    from = end + 1;
  }
  const end = text.indexOf("\n", from);
  return [from, end < 0 ? text.length : end];
}

export function lineOf(text: string, at: number): number {
  let line = 1;
  for (let i = text.indexOf("\n"); i >= 0 && i < at; i = text.indexOf("\n", i + 1)) line++;
  return line;
}
