import { expect, test } from "vitest";
import { differences } from "./difference";
import { took } from "./events";
import { fold, nothing } from "./fold";
import { countItems, edgeState, graphOf, layout, neighbour, outputOf } from "./graph";
import { hear } from "./writing";

const definition = {
  name: "triage",
  nodes: {
    start: { kind: "trigger" },
    end: { kind: "transform" },
    urgent: { kind: "condition", name: "Is it urgent?" },
  },
  edges: [
    { from: "start", to: "urgent" },
    { from: "urgent", to: "end", branch: "true" },
  ],
};

test("nodes stand after those that lead to them", () => {
  const graph = graphOf(definition);
  expect(graph.nodes.map((n) => n.id)).toEqual(["start", "urgent", "end"]);
  expect(graph.byId.get("urgent")?.name).toBe("Is it urgent?");
  const { places } = layout(graph);
  const [a, b, c] = ["start", "urgent", "end"].map((id) => places.get(id));
  expect((a?.x ?? 0) + (a?.y ?? 0)).toBeLessThan((b?.x ?? 0) + (b?.y ?? 0));
  expect((b?.x ?? 0) + (b?.y ?? 0)).toBeLessThan((c?.x ?? 0) + (c?.y ?? 0));
});

test("arrow keys lead to what is nearest in their direction", () => {
  const places = new Map([
    ["a", { x: 0, y: 0 }],
    ["b", { x: 100, y: 90 }],
    ["c", { x: 200, y: 0 }],
  ]);
  expect(neighbour(places, "a", "ArrowRight")).toBe("c");
  expect(neighbour(places, "a", "ArrowDown")).toBe("b");
  expect(neighbour(places, "c", "ArrowRight")).toBeUndefined();
  expect(neighbour(places, "a", "Enter")).toBeUndefined();
});

test("a node that ends decides its edges", () => {
  const at = "2026-01-01T00:00:00Z";
  const run = fold(nothing, [
    { seq: 1, at, type: "node.completed", node: "urgent", attempt: 1, data: { output: true, branch: "true" } },
    { seq: 2, at, type: "node.failed", node: "call", data: { state: "failed", on_error: "branch" } },
    { seq: 3, at, type: "node.failed", node: "note", data: { state: "timed_out", on_error: "continue", output: 1 } },
    { seq: 4, at, type: "node.skipped", node: "later", data: { reason: "no edge taken" } },
    { seq: 5, at, type: "node.started", node: "busy", attempt: 1 },
  ]);
  const state = (id: string, branch: string, over = false) => edgeState(branch, run.nodes.get(id), over);
  expect([state("urgent", "true"), state("urgent", "false"), state("urgent", "")]).toEqual(["taken", "dead", "taken"]);
  expect([state("call", ""), state("call", "error")]).toEqual(["dead", "taken"]);
  expect([state("note", ""), state("note", "error")]).toEqual(["taken", "dead"]);
  expect(state("later", "")).toBe("dead");
  expect([state("busy", ""), state("busy", "", true), state("none", "")]).toEqual(["pending", "dead", "pending"]);
  expect(run.nodes.get("note")?.output).toBe(1);
});

test("a trigger's output is the run's input", () => {
  const run = fold(nothing, [
    { seq: 1, at: "2026-01-01T00:00:00Z", type: "node.completed", node: "start", attempt: 1 },
  ]);
  expect(outputOf("trigger", run.nodes.get("start"), { a: 1 })).toEqual({ a: 1 });
  expect(outputOf("tool", run.nodes.get("start"), { a: 1 })).toBeNull();
  expect(outputOf("trigger", undefined, 1)).toBeUndefined();
});

test("items are counted by how they stand", () => {
  const at = "2026-01-01T00:00:00Z";
  const run = fold(nothing, [
    { seq: 1, at, type: "node.started", node: "each", attempt: 1, data: { input: [1, 2, 3, 4] } },
    { seq: 2, at, type: "node.completed", node: "each", item: 0, attempt: 1 },
    { seq: 3, at, type: "node.failed", node: "each", item: 1, attempt: 1, data: { state: "failed" } },
    { seq: 4, at, type: "node.started", node: "each", item: 3, attempt: 1 },
  ]);
  const each = run.nodes.get("each");
  expect(each && countItems(each)).toEqual({ total: 4, ended: 2, busy: 1, unknown: 0, failed: 1, stopped: 0 });
});

test("values are compared member by member", () => {
  expect(differences({ a: 1, b: [1, 2] }, { a: 1, b: [1, 3, 4], c: null })).toEqual([
    { path: "b[1]", a: 2, b: 3 },
    { path: "b[2]", a: undefined, b: 4 },
    { path: "c", a: undefined, b: null },
  ]);
  expect(differences("x", "x")).toEqual([]);
  expect(differences({ a: 1 }, [1])).toEqual([{ path: "", a: { a: 1 }, b: [1] }]);
});

test("durations are read as the service writes them", () => {
  expect(took("1m2.5s")).toBe(62_500);
  expect(took("350ms")).toBe(350);
  expect(took("250µs")).toBe(0.25);
  expect(took("2h0m0s")).toBe(7_200_000);
});

test("what an agent writes is heard until the log has it", () => {
  const delta = (data: object) => ({ id: "", type: "delta.text", data: { node: "ask", data } });
  let heard = hear(new Map(), [
    delta({ kind: "text", turn: 1, try: 1, model: "m", text: "Hel" }),
    delta({ kind: "text", turn: 1, try: 1, model: "m", text: "lo" }),
  ]);
  expect(heard.get("ask")).toMatchObject({ text: "Hello", model: "m", turn: 1 });
  const again = hear(heard, [delta({ kind: "text", turn: 1, try: 2, model: "m", text: "Anew" })]);
  expect(again.get("ask")).toMatchObject({ text: "Anew", try: 2 });
  heard = hear(again, [{ id: "", type: "dropped", data: { deltas: 3 } }]);
  expect(heard.get("ask")?.gaps).toBe(true);
  heard = hear(heard, [{ id: "9", type: "step.model", data: { node: "ask", data: { key: "turn/1" } } }]);
  expect(heard.size).toBe(0);
  expect(hear(heard, [{ id: "10", type: "node.started", data: { node: "b" } }])).toBe(heard);
});
