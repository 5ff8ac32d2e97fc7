// Where a run and its nodes stand, made of the events of its log.

import {
  type CancellingData,
  type CompletedData,
  type DecidedData,
  type EndedData,
  type FailedData,
  type Failure,
  type Origin,
  parsePath,
  type QueuedData,
  type ResumedData,
  type RetryingData,
  type RunEvent,
  type Step,
  type Trigger,
  type Usage,
  type WaitingData,
  type WaitingRunData,
} from "./events";

// Span is a time in which a node was in one state, in milliseconds.
export interface Span {
  state: string;
  attempt: number;
  from: number;
  to?: number;
}

// Attempt is one try of a node. One that was interrupted is made again under
// the same number.
export interface Attempt {
  number: number;
  from: number;
  to?: number;
  state: string; // that of the node, or interrupted
  failure?: Failure;
  uncounted?: boolean; // it came to nothing and does not count
}

// Said is a step with when it was recorded.
export interface Said extends Step {
  at: number;
  attempt: number;
}

export interface NodeFold {
  path: string;
  state: string;
  attempt: number;
  startedAt?: number;
  endedAt?: number;
  due?: number;
  input?: unknown;
  output?: unknown;
  branch?: string;
  failure?: Failure | undefined;
  onError?: string; // how the run goes on although it failed
  uncounted?: boolean;
  stopping?: boolean;
  skipped?: string; // why
  decided?: DecidedData | undefined;
  children: string[]; // runs that it waited for, the last one last
  detached?: boolean;
  kept?: boolean; // it ended in the run that this one repeats in part
  attempts: Attempt[];
  spans: Span[];
  steps: Said[];
  usage: Usage;
  items?: (NodeFold | undefined)[]; // of a map; those whose turn has not come are absent
}

export interface RunFold {
  state: string;
  seq: number;
  at: number; // of the last event
  pipeline: string;
  version: number;
  queuedAt?: number;
  startedAt?: number;
  endedAt?: number;
  input?: unknown;
  vars?: Record<string, unknown>;
  output?: unknown;
  failure?: Failure;
  mayHaveActed?: boolean;
  trigger?: Trigger;
  origin?: Origin;
  until?: number | undefined; // when a waiting run moves by itself
  pausedBy?: string | undefined; // "" is paused by nobody named
  stopping?: CancellingData;
  crashes: number;
  usage: Usage;
  nodes: ReadonlyMap<string, NodeFold>;
}

export const noUsage: Usage = { model_calls: 0, tool_calls: 0, input_tokens: 0, output_tokens: 0 };

export const nothing: RunFold = {
  state: "queued",
  seq: 0,
  at: 0,
  pipeline: "",
  version: 0,
  crashes: 0,
  usage: noUsage,
  nodes: new Map(),
};

const terminal = new Set(["completed", "failed", "skipped", "cancelled", "timed_out", "abandoned"]);

// hasEnded reports whether a node in a state has ended. One whose outcome is
// unknown has not: a decision ends it.
export function hasEnded(state: string): boolean {
  return terminal.has(state);
}

export function add(a: Usage, b: Usage): Usage {
  const sum: Usage = {
    model_calls: a.model_calls + b.model_calls,
    tool_calls: a.tool_calls + b.tool_calls,
    input_tokens: a.input_tokens + b.input_tokens,
    output_tokens: a.output_tokens + b.output_tokens,
  };
  for (const field of ["cache_read_tokens", "cache_write_tokens", "cost_micros", "unpriced"] as const) {
    const total = (a[field] ?? 0) + (b[field] ?? 0);
    if (total > 0) sum[field] = total;
  }
  return sum;
}

// fold takes events in that follow on a run. What they do not touch stays the
// same object; the run that was given is not changed.
export function fold(run: RunFold, events: Iterable<RunEvent>): RunFold {
  const folding = new Folding(run);
  for (const e of events) folding.take(e);
  return folding.run;
}

class Folding {
  readonly run: RunFold;
  private readonly nodes: Map<string, NodeFold>;
  private readonly own = new Set<NodeFold>(); // copies that may be changed

  constructor(run: RunFold) {
    this.nodes = new Map(run.nodes);
    this.run = { ...run, nodes: this.nodes };
  }

  take(e: RunEvent): void {
    const { run } = this;
    if (e.seq <= run.seq) return; // it is known
    const at = Date.parse(e.at);
    run.seq = e.seq;
    run.at = at;
    if (!e.node) {
      this.takeRun(e, at);
      return;
    }
    const n = this.node(e.node, e.item);
    takeNode(n, e, at);
    if (e.type.startsWith("step.")) {
      const { usage } = e.data as Step;
      if (usage) run.usage = add(run.usage, usage);
    }
    if (run.origin && run.state === "queued") n.kept = hasEnded(n.state);
  }

  // node is a node, or an item of a map, that may be changed.
  private node(id: string, item?: number): NodeFold {
    const n = this.ours(this.nodes.get(id), id);
    this.nodes.set(id, n);
    if (item === undefined) return n;
    n.items ??= [];
    const one = this.ours(n.items[item], `${id}[${item}]`);
    n.items[item] = one;
    return one;
  }

  private ours(n: NodeFold | undefined, path: string): NodeFold {
    if (n && this.own.has(n)) return n;
    const copy: NodeFold = n
      ? { ...n, attempts: [...n.attempts], spans: [...n.spans], steps: [...n.steps], children: [...n.children] }
      : { path, state: "pending", attempt: 0, attempts: [], spans: [], steps: [], children: [], usage: noUsage };
    if (n?.items) copy.items = [...n.items];
    this.own.add(copy);
    return copy;
  }

  private takeRun(e: RunEvent, at: number): void {
    const { run } = this;
    switch (e.type) {
      case "run.queued": {
        const d = e.data as QueuedData;
        Object.assign(run, { pipeline: d.pipeline, version: d.version, queuedAt: at, input: d.input ?? null });
        if (d.vars) run.vars = d.vars;
        if (d.trigger) run.trigger = d.trigger;
        if (d.origin) run.origin = d.origin;
        return;
      }
      case "run.started":
        run.startedAt = at;
        this.move("running");
        this.beginCopied(at);
        return;
      case "run.waiting":
        run.until = time((e.data as WaitingRunData | undefined)?.until);
        this.move("waiting");
        return;
      case "run.paused":
        run.pausedBy = (e.data as { by?: string } | undefined)?.by ?? "";
        this.move("paused");
        return;
      case "run.resumed":
        this.resume((e.data ?? {}) as ResumedData, at);
        return;
      case "run.cancelling":
        run.stopping = e.data as CancellingData;
        this.move("cancelling");
        return;
    }
    const end = ends[e.type];
    if (!end) return;
    const d = (e.data ?? {}) as EndedData;
    Object.assign(run, { state: end, endedAt: at, until: undefined, output: d.output ?? null });
    if (d.failure) run.failure = d.failure;
    if (d.may_have_acted) run.mayHaveActed = true;
  }

  // A stop and a pause outweigh other states.
  private move(state: string): void {
    const { run } = this;
    run.state = run.stopping ? "cancelling" : run.pausedBy !== undefined ? "paused" : state;
  }

  private resume(d: ResumedData, at: number): void {
    if (d.crashed) this.run.crashes++;
    if (d.unpaused) this.run.pausedBy = undefined;
    this.run.until = undefined;
    this.move("running");
    for (const path of d.interrupted ?? []) {
      const { node, item } = parsePath(path);
      close(this.node(node, item), "interrupted", at);
    }
  }

  // Maps that a fork began with items of another run begin when it does.
  private beginCopied(at: number): void {
    for (const n of [...this.nodes.values()]) {
      if (n.state !== "running") continue;
      const own = this.node(n.path);
      own.startedAt = at;
      own.attempts = own.attempts.map((a) => ({ ...a, from: at }));
      own.spans = own.spans.map((s) => ({ ...s, from: at }));
    }
  }
}

const ends: Record<string, string> = {
  "run.completed": "completed",
  "run.failed": "failed",
  "run.cancelled": "cancelled",
  "run.timed_out": "timed_out",
  "run.budget_exhausted": "budget_exhausted",
};

function time(at: string | undefined): number | undefined {
  return at ? Date.parse(at) : undefined;
}

function takeNode(n: NodeFold, e: RunEvent, at: number): void {
  n.startedAt ??= at;
  if (e.attempt) n.attempt = e.attempt;
  switch (e.type) {
    case "node.started":
      start(n, (e.data as { input?: unknown } | undefined)?.input, at);
      return;
    case "node.completed": {
      const d = (e.data ?? {}) as CompletedData;
      if (d.branch !== undefined) n.branch = d.branch;
      n.output = d.output ?? null;
      n.failure = undefined;
      end(n, "completed", at);
      return;
    }
    case "node.failed": {
      const d = e.data as FailedData;
      if (d.on_error && d.on_error !== "fail") n.onError = d.on_error;
      if (d.on_error === "continue") n.output = d.output ?? null;
      n.failure = d.failure;
      end(n, d.state, at);
      return;
    }
    case "node.skipped":
      n.skipped = (e.data as { reason: string }).reason;
      end(n, "skipped", at);
      return;
    case "node.cancelled":
      end(n, "cancelled", at);
      return;
    case "node.abandoned":
      end(n, "abandoned", at);
      return;
    case "node.retrying":
      retry(n, e.data as RetryingData, at);
      return;
    case "node.waiting":
      wait(n, (e.data ?? {}) as WaitingData, at);
      return;
    case "node.unknown":
      n.failure = (e.data as FailedData).failure;
      close(n, "unknown", at);
      move(n, "unknown", at);
      return;
    case "node.stopping": {
      n.stopping = true;
      const failure = (e.data as { failure?: Failure } | undefined)?.failure;
      if (failure) n.failure = failure;
      return;
    }
    case "node.decided":
      n.decided = e.data as DecidedData;
      return;
    case "step.model":
    case "step.tool": {
      const step = e.data as Step;
      n.steps.push({ ...step, at, attempt: n.attempt });
      if (step.usage) n.usage = add(n.usage, step.usage);
    }
  }
}

function start(n: NodeFold, input: unknown, at: number): void {
  if (input !== undefined) n.input = input;
  delete n.due;
  n.uncounted = false;
  n.decided = undefined;
  close(n, "interrupted", at);
  n.attempts.push({ number: n.attempt, from: at, state: "running" });
  move(n, "running", at);
}

function wait(n: NodeFold, d: WaitingData, at: number): void {
  if (d.child && n.children.at(-1) !== d.child) n.children.push(d.child);
  n.detached = d.detached ?? false;
  delete n.due;
  if (d.until) n.due = Date.parse(d.until);
  const last = n.attempts.at(-1);
  if (!last || last.to !== undefined) n.attempts.push({ number: n.attempt, from: at, state: "waiting" });
  move(n, "waiting", at);
}

function retry(n: NodeFold, d: RetryingData, at: number): void {
  if (d.due) n.due = Date.parse(d.due);
  n.failure = d.failure;
  n.uncounted = d.uncounted ?? false;
  n.stopping = false;
  if (n.attempts.at(-1)?.state !== "unknown") close(n, "failed", at, d.failure, d.uncounted);
  move(n, "retrying", at);
}

// move puts a node into a state that is not its last.
function move(n: NodeFold, state: string, at: number): void {
  closeSpan(n, at);
  n.state = state;
  n.spans.push({ state, attempt: n.attempt, from: at });
}

function end(n: NodeFold, state: string, at: number): void {
  closeSpan(n, at);
  if (n.attempts.length === 0 && n.attempt > 0) n.attempts.push({ number: n.attempt, from: at, state });
  close(n, state, at, n.failure);
  n.state = state;
  n.endedAt = at;
  delete n.due;
  n.uncounted = false;
  n.stopping = false;
}

function closeSpan(n: NodeFold, at: number): void {
  const last = n.spans.at(-1);
  if (last && last.to === undefined) n.spans[n.spans.length - 1] = { ...last, to: at };
}

// close ends the attempt under way, if one is.
function close(n: NodeFold, state: string, at: number, failure?: Failure, uncounted?: boolean): void {
  const last = n.attempts.at(-1);
  if (!last) return;
  const decided = last.state === "unknown" || last.state === "interrupted"; // more is known of it now
  if (last.to !== undefined && !(decided && state !== "interrupted")) return;
  const closed: Attempt = { ...last, to: last.to ?? at, state };
  if (failure) closed.failure = failure;
  if (uncounted) closed.uncounted = true;
  n.attempts[n.attempts.length - 1] = closed;
}
