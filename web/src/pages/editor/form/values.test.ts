import { expect, test } from "vitest";
import { typed, written } from "./values";

test("a value comes back as it was", () => {
  for (const value of [5, true, null, "text", "5", "true", '{"a":1}', { a: [1] }, ["a"], { a: "5" }]) {
    expect(typed(written(value, false), false)).toEqual(value);
  }
});

test("digits that a double does not hold are kept", () => {
  expect(written({ n: 9007199254740993n, t: "9" }, false)).toBe('{"n":9007199254740993,"t":"9"}');
});

test("a field of text takes all as text", () => {
  expect(written("5", true)).toBe("5");
  expect(typed("5", true)).toBe("5");
  expect(typed("${{ input.a }}", false)).toBe("${{ input.a }}");
});
