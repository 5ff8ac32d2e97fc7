import { Document, isMap, isScalar, isSeq, type Pair, type YAMLMap } from "yaml";
import { need, record, type Values } from "./model";
import { write } from "./text";

// What people write in one line.
const line = 90;

// textOf writes a stored definition as people write it: what a node needs
// stands at the node, behind its kind, and what is short in one line.
export function textOf(definition: unknown): string {
  const { nodes, edges, ...rest } = record(definition);
  const needs = new Map<string, string[]>();
  for (const edge of Array.isArray(edges) ? edges.map(record) : []) {
    const to = String(edge.to);
    const from = need({ from: String(edge.from), branch: typeof edge.branch === "string" ? edge.branch : "" });
    needs.set(to, [...(needs.get(to) ?? []), from]);
  }
  const written: Values = {};
  for (const [id, body] of Object.entries(record(nodes))) {
    const { kind, name, ...fields } = record(body);
    const from = needs.get(id);
    written[id] = { kind, ...(name !== undefined && { name }), ...(from && { needs: from }), ...fields };
  }
  const { output, ...top } = rest;
  const doc = new Document({ ...top, nodes: written, ...(output !== undefined && { output }) });
  for (const pair of isMap(doc.contents) ? doc.contents.items : []) flow(pair as Pair, 0);
  return write(doc);
}

// flow has what fits into a line stand in one.
function flow(pair: Pair, depth: number): void {
  const node = pair.value;
  if (isSeq(node)) {
    if (node.items.every((item) => isScalar(item)) && length(node) <= line) node.flow = true;
    else for (const item of node.items) if (isMap(item)) for (const inner of item.items) flow(inner as Pair, depth + 2);
    return;
  }
  if (!isMap(node)) return;
  const own = isScalar(pair.key) ? String(pair.key.value).length : 0;
  if (depth > 0 && plain(node) && own + length(node) + 2 * depth <= line) {
    node.flow = true;
    return;
  }
  for (const inner of node.items) flow(inner as Pair, depth + 1);
}

// What is nested more than once is easier to read in several lines.
function plain(node: YAMLMap, depth = 1): boolean {
  return node.items.every(({ value }) => {
    if (isSeq(value)) return value.items.every((item) => isScalar(item));
    return !isMap(value) || (depth > 0 && plain(value, depth - 1));
  });
}

const length = (node: { toJSON: () => unknown }): number => JSON.stringify(node.toJSON()).length;
