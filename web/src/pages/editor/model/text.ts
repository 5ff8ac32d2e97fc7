import { type Document, isAlias, isCollection, isMap, isScalar, isSeq, parseDocument, type ScalarTag } from "yaml";

// Doc is a definition as it was written, with its comments and its order.
export type Doc = Document;

// A whole number that a double does not hold stays what it is.
const large: ScalarTag = {
  tag: "tag:yaml.org,2002:int",
  default: true,
  test: /^[-+]?[0-9]{16,}$/,
  identify: (value) => typeof value === "bigint",
  resolve: (text) => BigInt(text),
  stringify: ({ value }) => String(value),
};

// Broken is why a text is no YAML.
export interface Broken {
  problem: string;
  line: number; // from 1
}

// read parses a definition's text. It never throws: what is wrong is told.
export function read(text: string): { doc: Doc; broken?: Broken } {
  const doc: Doc = parseDocument(text, { customTags: (tags) => [large, ...tags], prettyErrors: true });
  const error = doc.errors[0];
  if (!error) return { doc };
  const problem = (error.message.split("\n")[0] ?? "").replace(/ at line \d+, column \d+:?$/, "");
  return { doc, broken: { problem, line: error.linePos?.[0].line ?? 1 } };
}

// write is the text of a document. What was not changed keeps its comments,
// quotes and order.
export function write(doc: Doc): string {
  return doc.toString({ lineWidth: 0, flowCollectionPadding: false });
}

export type Path = (string | number)[];

// open sees to it that a mapping stands at a path, and that no alias does on
// the way: an edit changes one place, not all that share it.
export function open(doc: Doc, path: Path): void {
  if (!isMap(doc.contents)) doc.contents = doc.createNode({}) as never;
  for (let i = 1; i <= path.length; i++) {
    const here = path.slice(0, i);
    const found = doc.getIn(here, true);
    if (isAlias(found)) doc.setIn(here, doc.createNode(found.toJS(doc)));
    else if (!isCollection(found)) doc.setIn(here, doc.createNode({}));
  }
}

// set writes a value at a path, or removes what is there where it is undefined.
export function set(doc: Doc, path: Path, value: unknown): void {
  if (value === undefined) {
    if (doc.hasIn(path)) doc.deleteIn(path);
    return;
  }
  open(doc, path.slice(0, -1));
  const old = doc.getIn(path, true);
  if (isScalar(old) && (typeof value !== "object" || value === null) && typeof old.value === typeof value) {
    old.value = value; // its quotes and its comment stay
    return;
  }
  const node = doc.createNode(value);
  if (isCollection(node) && compact(value)) node.flow = true;
  if (isCollection(old) && isCollection(node)) {
    node.comment = old.comment ?? null;
    if (old.flow) node.flow = true;
  }
  doc.setIn(path, node);
}

// compact reports whether people write a value in one line: [a, b].
export function compact(value: unknown): boolean {
  return Array.isArray(value) && value.every((v) => typeof v !== "object" || v === null);
}

// js is the plain value at a path.
export function js(doc: Doc, path: Path): unknown {
  const node = path.length === 0 ? doc.contents : doc.getIn(path, true);
  if (node === undefined || node === null) return undefined;
  return isScalar(node) ? node.value : isMap(node) || isSeq(node) || isAlias(node) ? node.toJS(doc) : node;
}

// texts calls change with every text below a node, and keeps what it returns.
export function texts(node: unknown, change: (text: string, key: string) => string, key = ""): void {
  if (isScalar(node)) {
    if (typeof node.value !== "string") return;
    const changed = change(node.value, key);
    if (changed !== node.value) node.value = changed;
  } else if (isMap(node)) {
    for (const pair of node.items) texts(pair.value, change, isScalar(pair.key) ? String(pair.key.value) : "");
  } else if (isSeq(node)) {
    for (const item of node.items) texts(item, change, key);
  }
}
