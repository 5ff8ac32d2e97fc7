// What the events of a run hold, as the service writes them into its log.

export interface Failure {
  kind: string;
  code?: string;
  message: string;
  fields?: { field: string; problem: string }[] | null;
}

export interface Usage {
  model_calls: number;
  tool_calls: number;
  input_tokens: number;
  output_tokens: number;
  cache_read_tokens?: number;
  cache_write_tokens?: number;
  cost_micros?: number;
  unpriced?: number; // model calls of which nobody here knows what they cost
}

export interface Origin {
  run: string;
  from: string[] | null;
  kept?: string[] | null;
}

export interface Trigger {
  kind: string;
  run?: string;
  node?: string;
  by?: string;
}

// Step is a model turn or a tool call of a node.
export interface Step {
  key: string; // "turn/3", or "turn/3/call/1" for a tool call of that turn
  kind: "model" | "tool";
  name: string;
  phase?: string; // "intent" before a call that must not be made twice
  result?: unknown;
  failure?: Failure;
  usage?: Usage;
  took?: string;
  tries?: number;
  fallback?: string;
}

// Turn is the result of a model's step.
export interface Turn {
  text?: string;
  reasoning?: string;
  thoughts?: { text?: string }[];
  calls?: { id: string; tool: string; arguments: string }[];
  finish?: string;
  notes?: string[];
}

// RunEvent is one event of a run's log.
export interface RunEvent {
  seq: number;
  type: string;
  at: string;
  node?: string;
  item?: number;
  attempt?: number;
  data?: unknown;
}

export interface QueuedData {
  pipeline: string;
  version: number;
  input?: unknown;
  vars?: Record<string, unknown>;
  trigger?: Trigger;
  origin?: Origin;
}

export interface WaitingRunData {
  until?: string;
}

export interface ResumedData {
  crashed?: boolean;
  interrupted?: string[];
  unpaused?: boolean;
  by?: string;
}

export interface CancellingData {
  reason: string;
  failure?: Failure;
  by?: string;
}

export interface EndedData {
  output?: unknown;
  failure?: Failure;
  may_have_acted?: boolean;
}

export interface CompletedData {
  output?: unknown;
  branch?: string;
}

export interface FailedData {
  state: string;
  failure?: Failure;
  on_error?: string;
  output?: unknown;
}

export interface RetryingData {
  failure?: Failure;
  due?: string;
  uncounted?: boolean;
}

export interface WaitingData {
  until?: string;
  child?: string;
  detached?: boolean;
}

export interface DecidedData {
  as: string;
  by?: string;
}

// pathOf names the node of an event, or the item of a map: "each[3]".
export function pathOf(e: { node?: string; item?: number }): string {
  return e.item === undefined ? (e.node ?? "") : `${e.node}[${e.item}]`;
}

// parsePath is the reverse of pathOf.
export function parsePath(path: string): { node: string; item?: number } {
  const m = /^(.+)\[(\d+)\]$/.exec(path);
  return m?.[1] ? { node: m[1], item: Number(m[2]) } : { node: path };
}

// took is a duration as the service writes it, in milliseconds: "1m2.5s", "350µs".
export function took(text: string): number {
  const units: Record<string, number> = {
    h: 3_600_000,
    m: 60_000,
    s: 1_000,
    ms: 1,
    µs: 0.001,
    us: 0.001,
    ns: 0.000_001,
  };
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/([\d.]+)(h|ms|m|s|µs|us|ns)/g))
    sum += Number(count) * (units[unit ?? ""] ?? 0);
  return sum;
}
