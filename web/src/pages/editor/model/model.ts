import { type Doc, js } from "./text";

export type Values = Record<string, unknown>;

// Node is a node as canvas and forms see it.
export interface Node {
  id: string;
  kind: string;
  name: string; // its title; "" is none
  body: Values; // all its fields
  branches: string[]; // that lead away from it, "" is success
  position: [number, number] | undefined;
}

export interface Edge {
  from: string;
  to: string;
  branch: string; // "" is success
}

// Model is what a definition says, as far as it can be drawn.
export interface Model {
  name: string;
  description: string;
  nodes: Node[];
  edges: Edge[];
  agents: Record<string, Values>;
  vars: Values;
  inputSchema: unknown;
  top: Values;
}

export const record = (value: unknown): Values =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Values) : {};

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

// modelOf reads a document. What makes no sense is left out here and told by
// the service as a fault.
export function modelOf(doc: Doc): Model {
  const top = record(js(doc, []));
  const nodes = Object.entries(record(top.nodes)).map(([id, value]) => nodeOf(id, record(value)));
  return {
    name: text(top.name),
    description: text(top.description),
    nodes,
    edges: edgesOf(nodes, list(top.edges)),
    agents: Object.fromEntries(Object.entries(record(top.agents)).map(([name, spec]) => [name, record(spec)])),
    vars: record(top.vars),
    inputSchema: top.input_schema,
    top,
  };
}

function nodeOf(id: string, body: Values): Node {
  const at = list(body.position);
  const [x, y] = at;
  return {
    id,
    kind: text(body.kind),
    name: text(body.name),
    body,
    branches: branchesOf(body),
    position: at.length === 2 && Number.isInteger(x) && Number.isInteger(y) ? [x as number, y as number] : undefined,
  };
}

// branchesOf are the ways that lead away from a node of such fields.
export function branchesOf(body: Values): string[] {
  const own = [""];
  if (body.kind === "condition") {
    own.splice(0, 1, ...(body.switch === undefined ? ["true", "false"] : [...list(body.cases).map(String), "default"]));
  }
  return body.on_error === "branch" ? [...own, "error"] : own;
}

// need is an edge as a node's needs write it.
export const need = (e: { from: string; branch: string }): string => (e.branch ? `${e.from}.${e.branch}` : e.from);

// edgeOf reads an entry of needs.
export function edgeOf(entry: unknown, to: string): Edge | undefined {
  if (typeof entry !== "string") return undefined;
  const dot = entry.indexOf(".");
  return dot < 0 ? { from: entry, to, branch: "" } : { from: entry.slice(0, dot), to, branch: entry.slice(dot + 1) };
}

export const edgeId = (e: Edge): string => `${e.from}.${e.branch}>${e.to}`;

function edgesOf(nodes: Node[], listed: unknown[]): Edge[] {
  const known = new Set(nodes.map((n) => n.id));
  const edges = new Map<string, Edge>();
  const add = (e: Edge | undefined) => {
    if (e && known.has(e.from) && known.has(e.to) && e.from !== e.to) edges.set(edgeId(e), e);
  };
  for (const node of nodes) for (const entry of list(node.body.needs)) add(edgeOf(entry, node.id));
  for (const entry of listed.map(record))
    add({ from: text(entry.from), to: text(entry.to), branch: text(entry.branch) });
  return [...edges.values()];
}

// upstream are the nodes from which edges lead to one, directly or through others.
export function upstream(model: Model, id: string): Set<string> {
  const above = new Set<string>();
  const next = [id];
  for (let to = next.pop(); to !== undefined; to = next.pop()) {
    for (const e of model.edges) {
      if (e.to !== to || above.has(e.from)) continue;
      above.add(e.from);
      next.push(e.from);
    }
  }
  return above;
}

// refusal says why an edge cannot be, or nothing.
export function refusal(model: Model, e: Edge): string | undefined {
  if (e.from === e.to) return "A node cannot need itself.";
  if (model.edges.some((o) => edgeId(o) === edgeId(e))) return "These nodes are connected already.";
  if (model.nodes.find((n) => n.id === e.to)?.kind === "trigger")
    return "A run begins at the trigger: nothing leads to it.";
  if (upstream(model, e.from).has(e.to)) return `${e.from} comes after ${e.to}: the nodes would wait for each other.`;
  return undefined;
}
