import { type Model, record, upstream, type Values } from "./model";
import { pieces } from "./rename";

// Name is something that an expression can say, and what can follow it.
export interface Name {
  about?: string;
  inside?: Names; // behind a dot
}
export type Names = Record<string, Name>;

// What is known of a tool.
interface Described {
  name: string;
  input_schema?: unknown;
  output_schema?: unknown;
}

const deepest = 5; // levels of a schema that are told

function inSchema(schema: unknown, depth = 0): Names | undefined {
  const entries = Object.entries(record(record(schema).properties));
  if (entries.length === 0 || depth >= deepest) return undefined;
  return Object.fromEntries(
    entries.map(([key, inner]) => {
      const { type, description } = record(inner);
      const about = [type, description].filter((t) => typeof t === "string").join(": ");
      const inside = inSchema(inner, depth + 1);
      return [key, { ...(about && { about }), ...(inside && { inside }) }];
    }),
  );
}

// outputOf is what is known of what a node leaves behind.
function outputOf(body: Values, model: Model, tools: readonly Described[]): Names | undefined {
  switch (body.kind) {
    case "trigger":
      return inSchema(model.inputSchema);
    case "tool":
      return inSchema(tools.find((t) => t.name === body.tool)?.output_schema);
    case "agent":
      if (body.output_schema !== undefined) return inSchema(body.output_schema);
      return { text: { about: "the answer" }, model: { about: "who gave it" } };
    case "transform":
      return Object.fromEntries(Object.keys(record(body.set)).map((key) => [key, {}]));
    default:
      return undefined;
  }
}

interface Where {
  node?: string; // undefined: the definition's output, which sees all nodes
  inMap?: boolean; // in what a map does for each item
}

// scope is what an expression may refer to where it stands.
export function scope(model: Model, where: Where, tools: readonly Described[]): Names {
  const above = where.node === undefined ? undefined : upstream(model, where.node);
  const nodes: Names = {};
  for (const n of model.nodes) {
    if (above && !above.has(n.id)) continue;
    const inside = outputOf(n.body, model, tools);
    nodes[n.id] = {
      about: n.name || n.kind,
      inside: {
        output: { about: "null if it was skipped", ...(inside && { inside }) },
        state: { about: "as text" },
        finished_at: { about: "a time, or null" },
      },
    };
  }
  const input = inSchema(model.inputSchema);
  const names: Names = {
    input: { about: "the run's input", ...(input && { inside: input }) },
    vars: { about: "variables", inside: Object.fromEntries(Object.keys(model.vars).map((v) => [v, {}])) },
    nodes: { about: "nodes that come before", inside: nodes },
    run: { about: "this run", inside: { id: {}, started_at: { about: "a time" }, project: {} } },
    trigger: { about: "what caused the run" },
  };
  const self = model.nodes.find((n) => n.id === where.node);
  if (where.inMap && self) {
    names[typeof self.body.as === "string" && self.body.as ? self.body.as : "item"] = { about: "the item" };
    names.index = { about: "its place, from 0" };
  }
  const afterError = model.edges.some((e) => e.to === where.node && e.branch === "error");
  if (afterError) {
    names.error = { about: "what went wrong", inside: { kind: {}, code: {}, message: {} } };
  }
  return names;
}

// Functions that are used most, beside CEL's operators.
export const functions: Record<string, string> = {
  has: "whether a field is there: has(input.a)",
  size: "of a text, a list or an object",
  string: "as text",
  int: "as a whole number",
  double: "as a number",
  timestamp: "a time from text",
  duration: "a span of time from text",
  "json.parse": "the value of JSON text",
  "json.format": "a value as JSON text",
  "base64.encode": "bytes as text",
  "base64.decode": "bytes from text",
  "lists.range": "the numbers from 0",
  "math.greatest": "the largest",
  "math.least": "the smallest",
};

// Methods that follow a value.
export const methods: Record<string, string> = {
  orValue: "a default for a field that may be missing: input.?a.orValue(0)",
  filter: "filter(x, x > 0)",
  map: "map(x, x.name)",
  exists: "exists(x, x > 0)",
  all: "all(x, x > 0)",
  sortBy: "sortBy(x, x.name)",
  join: "join(', ')",
  split: "split(',')",
  contains: "contains('a')",
  startsWith: "startsWith('a')",
  endsWith: "endsWith('a')",
  matches: "matches('^a')",
  replace: "replace('a', 'b')",
  substring: "substring(0, 10)",
  lowerAscii: "in small letters",
  upperAscii: "in capitals",
  trim: "without space around it",
  size: "how long it is",
};

export interface Offer {
  from: number; // where what is completed begins
  options: { label: string; about: string; type: "variable" | "property" | "function" | "method" }[];
}

// offers is what may be written at a place of a text. A template holds
// expressions in ${{ }}, any other text is one.
export function offers(text: string, at: number, template: boolean, names: Names): Offer | undefined {
  let source = text.slice(0, at);
  if (template) {
    const last = pieces(source).at(-1);
    if (!last?.expression || last.closed) return undefined;
    source = last.text;
  }
  if (inQuotes(source)) return undefined;
  const word = /[A-Za-z_][A-Za-z0-9_]*$/.exec(source)?.[0] ?? "";
  const from = at - word.length;
  const before = source.slice(0, source.length - word.length);
  const chain = /((?:[A-Za-z_][A-Za-z0-9_]*\s*\.\s*\??)*)$/.exec(before)?.[1] ?? "";
  const links = chain.split(/\s*\.\s*\??/).slice(0, -1);
  if (links.length === 0) {
    if (/\.\s*\??$/.test(before)) return { from, options: methodOffers };
    const known = Object.entries(names).map(([label, n]) => ({
      label,
      about: n.about ?? "",
      type: "variable" as const,
    }));
    return { from, options: [...known, ...functionOffers] };
  }
  const start = before.length - chain.length;
  if (/[.\])]\s*$/.test(before.slice(0, start))) return { from, options: methodOffers };
  let inside: Names | undefined = names;
  for (const link of links) inside = inside?.[link]?.inside;
  const known = Object.entries(inside ?? {}).map(([label, n]) => ({
    label,
    about: n.about ?? "",
    type: "property" as const,
  }));
  // Of what these hold nothing is a value itself.
  const holders = links.length === 1 ? ["vars", "run", "nodes"] : links.length === 2 ? ["nodes"] : [];
  return { from, options: holders.includes(links[0] as string) ? known : [...known, ...methodOffers] };
}

const functionOffers = Object.entries(functions).map(([label, about]) => ({ label, about, type: "function" as const }));
const methodOffers = Object.entries(methods).map(([label, about]) => ({ label, about, type: "method" as const }));

// inQuotes reports whether a text of an expression ends within quotes.
function inQuotes(source: string): boolean {
  let quote = "";
  for (let i = 0; i < source.length; i++) {
    const c = source[i] as string;
    if (quote && c === "\\") i++;
    else if (quote) quote = c === quote ? "" : quote;
    else if (c === '"' || c === "'") quote = c;
  }
  return quote !== "";
}
