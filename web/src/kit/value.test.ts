import { expect, test } from "vitest";
import { cut, membersOf, preview } from "./value";

test("members are those of objects and arrays", () => {
  expect(membersOf({ a: 1, b: [2] })).toEqual([
    ["a", 1],
    ["b", [2]],
  ]);
  expect(membersOf(["x"])).toEqual([[0, "x"]]);
  expect(membersOf(null)).toBeUndefined();
  expect(membersOf("text")).toBeUndefined();
});

test("a preview says what is inside", () => {
  expect(preview([1])).toBe("[1 item]");
  expect(preview([])).toBe("[0 items]");
  expect(preview({ a: 1, b: 2 })).toBe("{a, b}");
  expect(preview({})).toBe("{}");
  expect(preview(undefined)).toBe("null");
});

test("long texts are cut, those that are little longer are not", () => {
  expect(cut("short")).toBe("short");
  expect(cut("x".repeat(2_000))).toHaveLength(800);
  expect(cut("x".repeat(850))).toHaveLength(850);
  expect(cut("line\n".repeat(100)).split("\n")).toHaveLength(12);
  expect(cut("line\n".repeat(13))).toBe("line\n".repeat(13));
});
