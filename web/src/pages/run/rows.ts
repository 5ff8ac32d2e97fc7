// What a timeline draws.

import type { NodeFold, RunFold, Span } from "./fold";
import type { Graph } from "./graph";

export interface Row {
  path: string;
  name: string;
  kind: string;
  depth: number; // 1 is an item of a map
  node: NodeFold;
  spans: Span[];
}

// rowsOf are the nodes that have begun, in the order in which they did, and
// the items of the maps that are open.
export function rowsOf(run: RunFold, graph: Graph, open: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  const begun = graph.nodes
    .map((def) => ({ def, node: run.nodes.get(def.id) }))
    .filter(({ node }) => node && !node.skipped && node.startedAt !== undefined)
    .sort((a, b) => (a.node?.startedAt ?? 0) - (b.node?.startedAt ?? 0));
  for (const { def, node } of begun) {
    if (!node) continue;
    rows.push({ path: def.id, name: def.name || def.id, kind: def.kind, depth: 0, node, spans: spansOf(node) });
    if (!open.has(def.id)) continue;
    for (const item of node.items ?? []) {
      if (item?.startedAt === undefined) continue;
      rows.push({ path: item.path, name: item.path, kind: "", depth: 1, node: item, spans: spansOf(item) });
    }
  }
  return rows;
}

// What takes no time has no spans of its own: it is a moment.
function spansOf(node: NodeFold): Span[] {
  if (node.spans.length > 0) return node.spans;
  const at = node.startedAt ?? 0;
  return [{ state: node.state, attempt: node.attempt, from: at, to: node.endedAt ?? at }];
}

const steps = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
  900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000,
];

// ticks are round times after the beginning, about so many of them.
export function ticks(length: number, about: number): number[] {
  const step = steps.find((s) => length / s <= about) ?? Math.ceil(length / about / 86_400_000) * 86_400_000;
  const list: number[] = [];
  for (let t = 0; t <= length; t += step) list.push(t);
  return list;
}
