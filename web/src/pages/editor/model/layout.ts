import dagre from "@dagrejs/dagre";
import { edgeId, type Model, type Node } from "./model";

export type Point = readonly [number, number];

export const width = 208;
const head = 58;
const row = 22;

// waysOf are the branches that a node shows: those it has, and those that edges
// leave it by.
export function waysOf(model: Model, node: Node): string[] {
  const ways = new Set(node.branches);
  for (const e of model.edges) if (e.from === node.id) ways.add(e.branch);
  return [...ways];
}

// heightOf is the height of a node that has so many ways out.
export const heightOf = (ways: number): number => (ways > 1 ? head + ways * row : head);

// wayAt is how far below a node's top one of its ways begins.
export const wayAt = (ways: number, i: number): number => (ways > 1 ? head + i * row + row / 2 - 4 : head / 2);

// layout is where nodes are drawn: where they say, and else where dagre puts
// them, moved down where somebody is already.
export function layout(model: Model): Map<string, Point> {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: "LR", nodesep: 28, ranksep: 72 });
  graph.setDefaultEdgeLabel(() => ({}));
  const heights = new Map(model.nodes.map((n) => [n.id, heightOf(waysOf(model, n).length)]));
  for (const n of model.nodes) graph.setNode(n.id, { width, height: heights.get(n.id) ?? head });
  for (const e of model.edges) graph.setEdge(e.from, e.to, {}, edgeId(e));
  dagre.layout(graph);
  const at = new Map<string, Point>();
  for (const n of model.nodes) if (n.position) at.set(n.id, n.position);
  const fixed = at.size > 0;
  for (const n of model.nodes) {
    if (n.position) continue;
    const { x, y } = graph.node(n.id) as { x: number; y: number };
    const height = heights.get(n.id) ?? head;
    let point: Point = [Math.round(x - width / 2), Math.round(y - height / 2)];
    if (fixed) point = free(point, height, at, heights);
    at.set(n.id, point);
  }
  return at;
}

// free is the first place below a point where a node of that height covers no other.
export function free(
  point: Point,
  height: number,
  at: ReadonlyMap<string, Point>,
  heights: ReadonlyMap<string, number>,
): Point {
  const [x] = point;
  let [, y] = point;
  const inWay = [...at].filter(([, [ox]]) => Math.abs(ox - x) < width + 8);
  for (let moved = true; moved; ) {
    moved = false;
    for (const [id, [, oy]] of inWay) {
      const bottom = oy + (heights.get(id) ?? head);
      if (y < bottom + 8 && y + height + 8 > oy) {
        y = bottom + 28;
        moved = true;
      }
    }
  }
  return [x, y];
}
