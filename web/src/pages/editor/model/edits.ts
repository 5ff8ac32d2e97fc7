import { isMap, isScalar, isSeq, type YAMLMap, type YAMLSeq } from "yaml";
import { type Edge, edgeOf, modelOf, need, record, type Values } from "./model";
import { follow } from "./rename";
import { type Doc, open, read, set, texts, write } from "./text";

// Every edit changes a document in place. The text is written from it anew,
// and the model read from the text.
export type Edit = (doc: Doc) => void;

const nodesOf = (doc: Doc): YAMLMap | undefined => {
  const nodes = doc.get("nodes", true);
  return isMap(nodes) ? nodes : undefined;
};

const keyOf = (key: unknown): string => String(isScalar(key) ? key.value : key);

const ids = (doc: Doc): string[] => nodesOf(doc)?.items.map((p) => keyOf(p.key)) ?? [];

// fresh is an ID like the one wanted that no node has.
export function fresh(wanted: string, taken: Iterable<string>): string {
  const used = new Set(taken);
  if (!used.has(wanted)) return wanted;
  const stem = wanted.replace(/_\d+$/, "");
  let n = 2;
  while (used.has(`${stem}_${n}`)) n++;
  return `${stem}_${n}`;
}

// refusedId says why a node cannot be called so, or nothing.
export function refusedId(id: string, taken: Iterable<string>): string | undefined {
  if (!/^[a-z][a-z0-9_]*$/.test(id) || id.length > 64) {
    return "Lower-case letters, digits and _, beginning with a letter, at most 64. A title goes into the name.";
  }
  return new Set(taken).has(id) ? "Another node has this ID." : undefined;
}

// add puts a new node at the end. Near is the edge that leads to it.
export function add(id: string, body: Values, near?: Omit<Edge, "to">): Edit {
  return (doc) => {
    const { kind, ...rest } = body;
    open(doc, ["nodes"]);
    const node = doc.createNode({ kind, ...(near && { needs: [need(near)] }), ...rest }) as YAMLMap;
    if (Object.values(rest).every((v) => typeof v !== "object")) node.flow = true;
    for (const pair of node.items) {
      if (isSeq(pair.value)) pair.value.flow = true;
    }
    const nodes = nodesOf(doc);
    if (nodes?.flow && !node.flow) nodes.flow = false;
    doc.setIn(["nodes", id], node);
  };
}

// unneed removes entries of needs and edges, and lists that are empty then.
function unneed(doc: Doc, drop: (e: Edge) => boolean): void {
  for (const pair of nodesOf(doc)?.items ?? []) {
    const to = keyOf(pair.key);
    const needs = isMap(pair.value) ? pair.value.get("needs", true) : undefined;
    if (!isSeq(needs)) continue;
    removeItems(needs, (item) => {
      const e = edgeOf(isScalar(item) ? item.value : item, to);
      return e !== undefined && drop(e);
    });
    if (needs.items.length === 0) (pair.value as YAMLMap).delete("needs");
  }
  const edges = doc.get("edges", true);
  if (!isSeq(edges)) return;
  removeItems(edges, (item) => {
    const e = record(isMap(item) ? item.toJS(doc) : item);
    return drop({ from: String(e.from), to: String(e.to), branch: typeof e.branch === "string" ? e.branch : "" });
  });
  if (edges.items.length === 0) doc.delete("edges");
}

function removeItems(seq: YAMLSeq, drop: (item: unknown) => boolean): void {
  seq.items = seq.items.filter((item) => !drop(item));
}

// remove takes nodes away, and the edges that lead to them and from them.
export function remove(gone: ReadonlySet<string>): Edit {
  return (doc) => {
    const nodes = nodesOf(doc);
    if (nodes) nodes.items = nodes.items.filter((p) => !gone.has(keyOf(p.key)));
    unneed(doc, (e) => gone.has(e.from) || gone.has(e.to));
  };
}

export function connect(e: Edge): Edit {
  return (doc) => {
    open(doc, ["nodes", e.to]);
    const needs = doc.getIn(["nodes", e.to, "needs"], true);
    if (isSeq(needs)) {
      needs.add(doc.createNode(need(e)));
      return;
    }
    set(doc, ["nodes", e.to, "needs"], [need(e)]);
    second(doc.getIn(["nodes", e.to], true), "needs");
  };
}

// second moves a field behind the kind, where people look for it.
function second(node: unknown, key: string): void {
  if (!isMap(node)) return;
  const at = node.items.findIndex((p) => keyOf(p.key) === key);
  const kind = node.items.findIndex((p) => keyOf(p.key) === "kind");
  const [pair] = at < 0 ? [] : node.items.splice(at, 1);
  if (pair) node.items.splice(kind + 1, 0, pair);
}

export function disconnect(gone: Edge[]): Edit {
  return (doc) => {
    unneed(doc, (e) => gone.some((g) => g.from === e.from && g.to === e.to && g.branch === e.branch));
  };
}

// rename gives a node another ID, in edges and expressions, too.
export function rename(from: string, to: string): Edit {
  return (doc) => {
    const pair = nodesOf(doc)?.items.find((p) => keyOf(p.key) === from);
    if (!pair) return;
    if (isScalar(pair.key)) pair.key.value = to;
    else pair.key = doc.createNode(to);
    refer(doc, new Map([[from, to]]));
  };
}

// refer follows other names into needs, edges and expressions.
function refer(doc: Doc, names: ReadonlyMap<string, string>): void {
  for (const pair of nodesOf(doc)?.items ?? []) referIn(pair.value, names);
  const edges = doc.get("edges", true);
  if (isSeq(edges)) {
    texts(edges, (text, key) => ((key === "from" || key === "to") && names.get(text)) || text);
  }
  texts(doc.get("output", true), (text) => follow(text, "output", names));
}

function referIn(node: unknown, names: ReadonlyMap<string, string>): void {
  if (!isMap(node)) return;
  for (const pair of node.items) {
    const key = keyOf(pair.key);
    if (key !== "needs") {
      texts(pair.value, (text, inner) => follow(text, inner, names), key);
      continue;
    }
    texts(pair.value, (text) => {
      const e = edgeOf(text, "");
      const to = e && names.get(e.from);
      return e && to !== undefined ? need({ ...e, from: to }) : text;
    });
  }
}

// put writes a field of a node, and undefined removes it.
export function put(path: (string | number)[], value: unknown): Edit {
  return (doc) => set(doc, path, value);
}

// place writes where nodes are drawn.
export function place(at: ReadonlyMap<string, readonly [number, number]>): Edit {
  return (doc) => {
    for (const [id, [x, y]] of at) set(doc, ["nodes", id, "position"], [Math.round(x), Math.round(y)]);
  };
}

// unplace has all nodes drawn where the layout puts them.
export const unplace: Edit = (doc) => {
  for (const id of ids(doc)) set(doc, ["nodes", id, "position"], undefined);
};

// copyOf is the text of some nodes, as YAML that can be pasted here or elsewhere.
export function copyOf(doc: Doc, wanted: ReadonlySet<string>): string {
  const part = doc.clone() as Doc;
  const nodes = nodesOf(part);
  if (!nodes) return "";
  nodes.items = nodes.items.filter((p) => wanted.has(keyOf(p.key)));
  const inner = modelOf(doc).edges.filter((e) => wanted.has(e.from) && wanted.has(e.to));
  part.contents = part.createNode({}) as never;
  part.commentBefore = null;
  part.comment = null;
  part.set("nodes", nodes);
  unneed(part, () => true);
  for (const e of inner) connect(e)(part); // whether they were written as needs or as edges
  return write(part);
}

// paste adds nodes from a text, under IDs that are free. It returns them, or
// undefined where the text holds no nodes.
export function paste(doc: Doc, text: string): string[] | undefined {
  const { doc: part, broken } = read(text);
  const nodes = nodesOf(part);
  if (broken || !nodes || nodes.items.length === 0) return undefined;
  const taken = new Set(ids(doc));
  const names = new Map<string, string>();
  for (const pair of nodes.items) {
    const id = keyOf(pair.key);
    const to = fresh(id, taken);
    taken.add(to);
    names.set(id, to);
  }
  refer(part, names);
  open(doc, ["nodes"]);
  for (const [id, to] of names) {
    const node = nodes.get(id, true);
    if (isMap(node)) nudge(node, part);
    doc.setIn(["nodes", to], node);
  }
  return [...names.values()];
}

// What is pasted is drawn beside what was copied.
function nudge(node: YAMLMap, part: Doc): void {
  const at = node.get("position", true);
  const [x, y] = isSeq(at) ? (at.toJS(part) as unknown[]) : [];
  if (typeof x === "number" && typeof y === "number") {
    const moved = part.createNode([x + 40, y + 40]) as YAMLSeq;
    moved.flow = true;
    node.set("position", moved);
  }
}
