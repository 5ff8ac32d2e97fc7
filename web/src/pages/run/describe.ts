// What an event says, in a line.

import { date, plural, span } from "@/kit/format";
import type {
  CancellingData,
  CompletedData,
  DecidedData,
  EndedData,
  FailedData,
  Failure,
  QueuedData,
  ResumedData,
  RetryingData,
  RunEvent,
  Step,
  WaitingData,
  WaitingRunData,
} from "./events";

const longest = 200;

// oneLine is a text without line breaks, cut where it is long.
export function oneLine(text: string): string {
  const line = text
    .slice(0, 2 * longest)
    .replace(/\s+/g, " ")
    .trim();
  return line.length > longest ? `${line.slice(0, longest)}…` : line;
}

// brief is a value in a line: a text as it is, the rest as JSON.
export function brief(value: unknown): string {
  if (value === undefined || value === null) return "";
  return oneLine(typeof value === "string" ? value : JSON.stringify(value));
}

export function failureText(f: Failure | undefined): string {
  if (!f) return "";
  const fields = f.fields?.map((x) => `${x.field} ${x.problem}`).join("; ");
  return fields ? `${f.message}: ${fields}` : f.message;
}

function by(who: string | undefined): string {
  return who ? ` by ${who}` : "";
}

const skips: Record<string, string> = {
  "no edge taken": "another branch was taken",
  "run ended": "the run ended before its turn",
  "not needed": "a join does not need it",
};

// skipText says why a node was passed over.
export function skipText(reason: string): string {
  return skips[reason] ?? reason;
}

// describe says what an event says beside its type and its node.
export function describe(e: RunEvent): string {
  const d = e.data ?? {};
  switch (e.type) {
    case "run.queued":
      return queued(d as QueuedData);
    case "run.waiting": {
      const { until } = d as WaitingRunData;
      return until ? `until ${date(until)}` : "";
    }
    case "run.resumed": {
      const { crashed, unpaused, by: who, interrupted } = d as ResumedData;
      if (unpaused) return `no longer paused${by(who)}`;
      if (!crashed) return "";
      return interrupted?.length
        ? `goes on where it broke off; interrupted: ${interrupted.join(", ")}`
        : "goes on where it broke off";
    }
    case "run.paused":
      return `paused${by((d as { by?: string }).by)}`;
    case "run.cancelling": {
      const { reason, by: who, failure } = d as CancellingData;
      const why = reason === "timed_out" ? "its time is up" : reason === "failed" ? failureText(failure) : "";
      return oneLine(why ? `is being stopped: ${why}` : `is being stopped${by(who)}`);
    }
  }
  return e.node ? ofNode(e) : oneLine(failureText((d as EndedData).failure) || brief((d as EndedData).output));
}

function queued(d: QueuedData): string {
  const from = d.origin ? `, does ${(d.origin.from ?? []).join(", ")} of ${d.origin.run} again` : "";
  return `version ${d.version}${by(d.trigger?.by)}${from}`;
}

function ofNode(e: RunEvent): string {
  const d = e.data ?? {};
  switch (e.type) {
    case "node.started":
      return (e.attempt ?? 1) > 1 ? `attempt ${e.attempt}` : brief((d as { input?: unknown }).input);
    case "node.completed": {
      const { branch, output } = d as CompletedData;
      return branch ? `branch ${branch}` : brief(output);
    }
    case "node.failed": {
      const f = d as FailedData;
      const handled =
        f.on_error === "continue" ? ", passed over" : f.on_error === "branch" ? ", its error branch is taken" : "";
      return oneLine(failureText(f.failure)) + handled;
    }
    case "node.unknown":
      return `may have acted and nobody can tell: ${oneLine(failureText((d as FailedData).failure))}`;
    case "node.retrying": {
      const r = d as RetryingData;
      const wait = r.due ? Date.parse(r.due) - Date.parse(e.at) : 0;
      const again = r.uncounted ? "begins again" : "is tried again";
      return oneLine(`${again}${wait > 0 ? ` in ${span(wait)}` : ""}: ${failureText(r.failure)}`);
    }
    case "node.waiting": {
      const w = d as WaitingData;
      if (w.child) return `for ${w.detached ? "the start of " : ""}${w.child}`;
      return w.until ? `until ${date(w.until)}` : "";
    }
    case "node.skipped":
      return skipText((d as { reason: string }).reason);
    case "node.decided": {
      const { as, by: who } = d as DecidedData;
      return `as ${as}${by(who)}`;
    }
    case "node.stopping":
      return oneLine(failureText((d as { failure?: Failure }).failure)) || "a join does not need it";
    case "step.model":
    case "step.tool":
      return step(d as Step);
  }
  return "";
}

function step(s: Step): string {
  if (s.phase === "intent") return `${s.name} is about to be called`;
  if (s.failure) return oneLine(`${s.name}: ${failureText(s.failure)}`);
  const tokens =
    s.usage && s.kind === "model" ? `, ${plural(s.usage.input_tokens + s.usage.output_tokens, "token")}` : "";
  return `${s.name}${tokens}`;
}
