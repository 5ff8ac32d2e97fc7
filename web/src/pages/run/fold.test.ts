import { expect, test } from "vitest";
import type { RunEvent } from "./events";
import { fold, nothing, type RunFold } from "./fold";
import { History } from "./history";

let clock = Date.parse("2026-01-01T10:00:00Z");
let seq = 0;

// e is the next event of a log, a second after the one before.
function e(type: string, node?: string, data?: unknown, more: Partial<RunEvent> = {}): RunEvent {
  clock += 1_000;
  seq++;
  return {
    seq,
    type,
    at: new Date(clock).toISOString(),
    ...(node && { node }),
    ...(data !== undefined && { data }),
    ...more,
  };
}

function log(...make: (() => RunEvent)[]): RunEvent[] {
  clock = Date.parse("2026-01-01T10:00:00Z");
  seq = 0;
  return make.map((m) => m());
}

const queued =
  (more: object = {}) =>
  () =>
    e("run.queued", undefined, {
      pipeline: "p",
      version: 2,
      input: { a: 1 },
      trigger: { kind: "manual", by: "ada" },
      ...more,
    });
const started = () => e("run.started");
const after = (events: RunEvent[]): RunFold => fold(nothing, events);

test("a node that fails is tried again, and counts its attempts", () => {
  const failure = { kind: "unavailable", message: "not now" };
  const events = log(
    queued(),
    started,
    () => e("node.started", "call", { input: { url: "x" } }, { attempt: 1 }),
    () => e("node.retrying", "call", { failure, due: "2026-01-01T10:00:10Z" }, { attempt: 1 }),
    () => e("node.started", "call", {}, { attempt: 2 }),
    () => e("node.completed", "call", { output: { ok: true } }, { attempt: 2 }),
    () => e("run.completed", undefined, { output: 7 }),
  );
  const waiting = after(events.slice(0, 4)).nodes.get("call");
  expect(waiting).toMatchObject({ state: "retrying", attempt: 1, failure, due: Date.parse("2026-01-01T10:00:10Z") });
  const run = after(events);
  expect(run).toMatchObject({ state: "completed", output: 7, pipeline: "p", version: 2 });
  const call = run.nodes.get("call");
  expect(call).toMatchObject({ state: "completed", attempt: 2, input: { url: "x" }, output: { ok: true } });
  expect(call?.failure).toBeUndefined();
  expect(call?.due).toBeUndefined();
  expect(call?.attempts.map((a) => [a.number, a.state])).toEqual([
    [1, "failed"],
    [2, "completed"],
  ]);
  expect(call?.spans.map((s) => [s.state, s.attempt, (s.to ?? 0) - s.from])).toEqual([
    ["running", 1, 1_000],
    ["retrying", 1, 1_000],
    ["running", 2, 1_000],
  ]);
});

test("what is not touched stays the same object, and what was given is not changed", () => {
  const events = log(
    queued(),
    started,
    () => e("node.started", "a", {}, { attempt: 1 }),
    () => e("node.started", "b", {}, { attempt: 1 }),
    () => e("node.completed", "b", { output: 1 }, { attempt: 1 }),
  );
  const before = after(events.slice(0, 4));
  const b = before.nodes.get("b");
  const now = fold(before, events.slice(4));
  expect(now.nodes.get("a")).toBe(before.nodes.get("a"));
  expect(now.nodes.get("b")).not.toBe(b);
  expect(b).toMatchObject({ state: "running" });
  expect(b?.attempts[0]?.to).toBeUndefined();
  expect(fold(now, events).seq).toBe(5); // what is known already changes nothing
});

test("a crash interrupts attempts, which are made again under their number", () => {
  const run = after(
    log(
      queued(),
      started,
      () => e("node.started", "a", {}, { attempt: 1 }),
      () => e("run.resumed", undefined, { crashed: true, interrupted: ["a"] }),
      () => e("node.started", "a", {}, { attempt: 1 }),
    ),
  );
  expect(run.crashes).toBe(1);
  expect(run.nodes.get("a")?.attempts.map((a) => [a.number, a.state])).toEqual([
    [1, "interrupted"],
    [1, "running"],
  ]);
});

test("an unknown outcome waits for a decision", () => {
  const failure = { kind: "conflict", code: "unknown_outcome", message: "may have acted" };
  const events = log(
    queued(),
    started,
    () => e("node.started", "pay", {}, { attempt: 1 }),
    () => e("node.unknown", "pay", { state: "failed", failure }, { attempt: 1 }),
    () => e("node.decided", "pay", { as: "done", by: "ada" }, { attempt: 1 }),
    () => e("node.completed", "pay", { output: null }, { attempt: 1 }),
  );
  expect(after(events.slice(0, 4)).nodes.get("pay")).toMatchObject({ state: "unknown", failure });
  expect(after(events).nodes.get("pay")).toMatchObject({
    state: "completed",
    decided: { as: "done", by: "ada" },
    attempts: [{ number: 1, state: "completed" }],
  });
});

test("a stop outweighs a pause, and a pause what the run does", () => {
  const events = log(
    queued(),
    started,
    () => e("run.paused", undefined, { by: "ada" }),
    () => e("run.waiting", undefined, { nodes: [] }),
    () => e("run.cancelling", undefined, { reason: "cancelled", by: "ada" }),
    () => e("run.resumed", undefined, {}),
    () => e("run.cancelled", undefined, {}),
  );
  const states = events.map((_, i) => after(events.slice(0, i + 1)).state);
  expect(states).toEqual(["queued", "running", "paused", "paused", "cancelling", "cancelling", "cancelled"]);
});

test("items of a map are told apart, and what a fork kept is known as such", () => {
  const run = after(
    log(
      queued({ origin: { run: "old", from: ["each"], kept: ["start"] } }),
      () => e("node.completed", "start", { output: 1 }, { attempt: 1 }),
      () => e("node.started", "each", { input: [5, 6, 7] }, { attempt: 1 }),
      () => e("node.completed", "each", { output: 50 }, { attempt: 1, item: 0 }),
      started,
      () => e("node.started", "each", { input: "6" }, { attempt: 1, item: 1 }),
      () => e("node.waiting", "each", { child: "run_1" }, { attempt: 1, item: 1 }),
    ),
  );
  expect(run.nodes.get("start")?.kept).toBe(true);
  const each = run.nodes.get("each");
  expect(each).toMatchObject({ state: "running", startedAt: run.startedAt });
  expect(each?.items?.[0]).toMatchObject({ path: "each[0]", state: "completed", output: 50, kept: true });
  expect(each?.items?.[1]).toMatchObject({ path: "each[1]", state: "waiting", children: ["run_1"] });
});

test("what steps consumed is added up, for the node and the run", () => {
  const usage = { model_calls: 1, tool_calls: 0, input_tokens: 10, output_tokens: 5, unpriced: 1 };
  const turn = (n: number) => () =>
    e("step.model", "ask", { key: `turn/${n}`, kind: "model", name: "m", usage, result: {} }, { attempt: 1 });
  const run = after(log(queued(), started, () => e("node.started", "ask", {}, { attempt: 1 }), turn(1), turn(2)));
  expect(run.usage).toEqual({ model_calls: 2, tool_calls: 0, input_tokens: 20, output_tokens: 10, unpriced: 2 });
  expect(run.nodes.get("ask")?.usage).toEqual(run.usage);
});

test("history knows how the run was after any event, however long the log is", () => {
  const events = log(
    queued(),
    started,
    ...Array.from(
      { length: 2_000 },
      (_, i) => () =>
        i % 2 === 0
          ? e("node.started", `n${i / 2}`, {}, { attempt: 1 })
          : e("node.completed", `n${(i - 1) / 2}`, { output: i }, { attempt: 1 }),
    ),
  );
  const history = new History();
  history.add(events.slice(0, 700));
  history.add(events.slice(600)); // some of it is told twice
  expect(history.events).toHaveLength(2_002);
  for (const count of [1, 3, 399, 400, 401, 1_234, 1_235, 7, 2_002]) {
    expect(history.at(count)).toEqual(after(events.slice(0, count)));
  }
});
