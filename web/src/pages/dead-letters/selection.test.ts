import { expect, test } from "vitest";
import { pick, range } from "./selection";

test("a selection is changed as a copy", () => {
  const was = new Set(["a"]);
  expect([...pick(was, ["b", "c"], true)]).toEqual(["a", "b", "c"]);
  expect([...pick(was, ["a"], false)]).toEqual([]);
  expect([...was]).toEqual(["a"]);
});

test("a range goes in both directions", () => {
  const ids = ["a", "b", "c", "d"];
  expect(range(ids, "b", "d")).toEqual(["b", "c", "d"]);
  expect(range(ids, "d", "b")).toEqual(["b", "c", "d"]);
  expect(range(ids, "gone", "b")).toEqual(["b"]);
});
