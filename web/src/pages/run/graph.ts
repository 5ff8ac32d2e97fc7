// The graph of a pipeline version, where its nodes stand on a page, and what
// has become of its edges.

import dagre from "@dagrejs/dagre";
import type { NodeFold } from "./fold";

export interface NodeDef {
  id: string;
  kind: string;
  name: string;
  position?: Place; // where somebody put it
  config: Record<string, unknown>; // all that the definition says of it
}

export interface Edge {
  id: string;
  from: string;
  to: string;
  branch: string;
}

export interface Graph {
  name: string;
  nodes: NodeDef[]; // each after those that lead to it
  edges: Edge[];
  byId: ReadonlyMap<string, NodeDef>;
}

// graphOf reads a definition as the service stores it.
export function graphOf(definition: unknown): Graph {
  const d = definition as {
    name?: string;
    nodes?: Record<string, Record<string, unknown>>;
    edges?: { from: string; to: string; branch?: string }[];
  };
  const nodes = Object.entries(d.nodes ?? {}).map(([id, config]): NodeDef => {
    const [x, y] = Array.isArray(config.position) ? config.position : [];
    return {
      id,
      kind: String(config.kind ?? ""),
      name: typeof config.name === "string" ? config.name : "",
      ...(typeof x === "number" && typeof y === "number" && { position: { x, y } }),
      config,
    };
  });
  const edges = (d.edges ?? []).map(({ from, to, branch = "" }) => ({
    id: `${from}.${branch}>${to}`,
    from,
    to,
    branch,
  }));
  const ordered = order(nodes, edges);
  return { name: d.name ?? "", nodes: ordered, edges, byId: new Map(ordered.map((n) => [n.id, n])) };
}

// order puts each node after those that lead to it, as the service does, and
// else leaves the order of the file.
function order(nodes: NodeDef[], edges: Edge[]): NodeDef[] {
  const open = new Map<string, number>();
  const next = new Map<string, string[]>();
  for (const { from, to } of edges) {
    open.set(to, (open.get(to) ?? 0) + 1);
    const targets = next.get(from);
    if (targets) targets.push(to);
    else next.set(from, [to]);
  }
  const ordered: NodeDef[] = [];
  let left = nodes;
  for (let before = -1; left.length > 0 && ordered.length > before; ) {
    before = ordered.length;
    left = left.filter((n) => {
      if (open.get(n.id)) return true;
      ordered.push(n);
      for (const id of next.get(n.id) ?? []) open.set(id, (open.get(id) ?? 1) - 1);
      return false;
    });
  }
  return ordered;
}

export const size = { width: 208, height: 62 };

export interface Place {
  x: number;
  y: number;
}

export interface Layout {
  down: boolean; // the edges lead downwards, and else to the right
  places: Map<string, Place>;
}

// layout says where the nodes stand: where the pipeline draws them, or in ranks
// along the edges, in the direction in which they fill a page better.
export function layout(graph: Graph): Layout {
  const drawn = new Map(graph.nodes.flatMap((n): [string, Place][] => (n.position ? [[n.id, n.position]] : [])));
  if (drawn.size === graph.nodes.length) return { down: false, places: drawn };
  const { ranks, widest } = shape(graph);
  const across = Math.min(900 / (ranks * (size.width + gap.LR)), 560 / (widest * (size.height + gap.aside)));
  const down = Math.min(900 / (widest * (size.width + gap.aside)), 560 / (ranks * (size.height + gap.TB)));
  const rankdir = down > 1.15 * across ? "TB" : "LR";
  const g = new dagre.graphlib.Graph();
  g.setGraph({ rankdir, nodesep: gap.aside, ranksep: gap[rankdir], marginx: 8, marginy: 8 });
  g.setDefaultEdgeLabel(() => ({}));
  for (const n of graph.nodes) g.setNode(n.id, { ...size });
  for (const e of graph.edges) g.setEdge(e.from, e.to, e.branch ? { width: 8 * e.branch.length, height: 16 } : {});
  dagre.layout(g);
  const places = new Map(
    graph.nodes.map((n) => {
      const { x = 0, y = 0 } = g.node(n.id);
      return [n.id, { x: x - size.width / 2, y: y - size.height / 2 }];
    }),
  );
  return { down: rankdir === "TB", places };
}

const gap = { LR: 70, TB: 46, aside: 22 };

// shape is how long the longest way through a graph is, and how many nodes
// stand beside each other at most.
function shape(graph: Graph): { ranks: number; widest: number } {
  const rank = new Map<string, number>();
  const into = new Map<string, string[]>();
  for (const { from, to } of graph.edges) {
    const list = into.get(to);
    if (list) list.push(from);
    else into.set(to, [from]);
  }
  const count: number[] = [];
  for (const n of graph.nodes) {
    const r = (into.get(n.id) ?? []).reduce((most, from) => Math.max(most, (rank.get(from) ?? 0) + 1), 0);
    rank.set(n.id, r);
    count[r] = (count[r] ?? 0) + 1;
  }
  return { ranks: Math.max(count.length, 1), widest: Math.max(...count, 1) };
}

// neighbour is the node that is nearest in a direction, or undefined.
export function neighbour(places: ReadonlyMap<string, Place>, id: string, key: string): string | undefined {
  const at = places.get(id);
  const [dx, dy] = directions[key] ?? [0, 0];
  if (!at || (dx === 0 && dy === 0)) return undefined;
  let best: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const [other, p] of places) {
    const along = (p.x - at.x) * dx + (p.y - at.y) * dy;
    if (along < 1) continue;
    const aside = Math.abs((p.x - at.x) * dy) + Math.abs((p.y - at.y) * dx);
    const away = along + 2 * aside;
    if (away < least) {
      least = away;
      best = other;
    }
  }
  return best;
}

const directions: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export type EdgeState = "pending" | "taken" | "dead";

// edgeState is what has become of an edge from a node. A node that ends decides
// all of its edges; what is pending when the run ends is dead.
export function edgeState(branch: string, from: NodeFold | undefined, over: boolean): EdgeState {
  switch (from?.state) {
    case "completed":
      return branch === "" || branch === from.branch ? "taken" : "dead";
    case "failed":
    case "timed_out": {
      const taken = from.onError === "continue" ? branch === "" : from.onError === "branch" && branch === "error";
      return taken ? "taken" : "dead";
    }
    case "skipped":
    case "cancelled":
    case "abandoned":
      return "dead";
  }
  return over ? "dead" : "pending";
}

// outputOf is what a node came to. A trigger's is the run's input, which the
// log holds once.
export function outputOf(kind: string | undefined, node: NodeFold | undefined, input: unknown): unknown {
  return kind === "trigger" && node?.state === "completed" ? input : node?.output;
}

export interface Counts {
  total: number;
  ended: number;
  busy: number;
  unknown: number;
  failed: number;
  stopped: number;
}

// countItems says how the items of a map stand.
export function countItems(node: NodeFold): Counts {
  const total = Math.max(Array.isArray(node.input) ? node.input.length : 0, node.items?.length ?? 0);
  const c: Counts = { total, ended: 0, busy: 0, unknown: 0, failed: 0, stopped: 0 };
  for (const item of node.items ?? []) {
    switch (item?.state) {
      case undefined:
      case "pending":
        break;
      case "unknown":
        c.unknown++;
        break;
      case "running":
      case "waiting":
      case "retrying":
        c.busy++;
        break;
      default:
        c.ended++;
        if (item?.state === "failed" || item?.state === "timed_out") c.failed++;
        else if (item?.state !== "completed") c.stopped++;
    }
  }
  return c;
}
