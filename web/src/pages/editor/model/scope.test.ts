import { expect, test } from "vitest";
import { modelOf } from "./model";
import { offers, scope } from "./scope";
import { read } from "./text";

const model = modelOf(
  read(`
name: p
vars: {limit: 5}
input_schema: {type: object, properties: {file: {type: string, description: Which}}}
nodes:
  start: {kind: trigger}
  text: {kind: tool, needs: [start], tool: files.read, on_error: branch}
  told: {kind: transform, needs: [text], set: {a: 1}}
  why: {kind: transform, needs: [text.error], set: {a: 1}}
  each: {kind: map, needs: [told], over: "[]", as: file, do: {kind: transform, set: {}}}
`).doc,
);
const tools = [{ name: "files.read", output_schema: { type: "object", properties: { text: { type: "string" } } } }];

const labels = (text: string, where: Parameters<typeof scope>[1], template = false): string[] | undefined => {
  const at = text.indexOf("|") < 0 ? text.length : text.indexOf("|");
  return offers(text.replace("|", ""), at, template, scope(model, where, tools))?.options.map((o) => o.label);
};

test("an expression sees the input, the variables and the nodes before it", () => {
  expect(labels("", { node: "told" })).toEqual(
    expect.arrayContaining(["input", "vars", "nodes", "run", "trigger", "has"]),
  );
  expect(labels("", { node: "told" })).not.toContain("error");
  expect(labels("nodes.", { node: "told" })).toEqual(["start", "text"]);
  expect(labels("nodes.te", { node: "told" })).toEqual(["start", "text"]);
  expect(labels("vars.", { node: "told" })).toEqual(["limit"]);
  expect(labels("run.", { node: "told" })).toEqual(["id", "started_at", "project"]);
  expect(labels("nodes.text.", { node: "told" })).toEqual(["output", "state", "finished_at"]);
});

test("what schemas say is offered, and what a value can do", () => {
  expect(labels("size(input.", { node: "told" })?.[0]).toBe("file");
  expect(labels("input.?", { node: "told" })?.[0]).toBe("file");
  expect(labels("nodes.text.output.", { node: "told" })?.[0]).toBe("text");
  expect(labels("nodes.told.output.", { node: "each" })?.[0]).toBe("a");
  expect(labels("input.file.", { node: "told" })).toContain("startsWith");
  expect(labels("[1, 2].", { node: "told" })?.[0]).toBe("orValue");
});

test("an item and an error are known where they are", () => {
  expect(labels("", { node: "each" })).not.toContain("file");
  expect(labels("", { node: "each", inMap: true })).toEqual(expect.arrayContaining(["file", "index"]));
  expect(labels("error.", { node: "why" })?.slice(0, 3)).toEqual(["kind", "code", "message"]);
});

test("the output sees all nodes", () => {
  expect(labels("nodes.", {})).toEqual(["start", "text", "told", "why", "each"]);
});

test("nothing is offered outside of expressions and within quotes", () => {
  expect(labels("in", { node: "told" }, true)).toBeUndefined();
  expect(labels("a ${{ input.| }} b", { node: "told" }, true)?.[0]).toBe("file");
  expect(labels("${{ input.file }} in", { node: "told" }, true)).toBeUndefined();
  expect(labels("input.file == 'in", { node: "told" })).toBeUndefined();
});
