import { expect, test } from "vitest";
import { typed, written } from "./values";

test.each([5, true, null, "text", "5", "true", '{"a":1}', "", { a: [1] }, ["a"], 9007199254740993n])(
  "%j comes back as it was",
  (value) => {
    if (value !== "") expect(typed(written(value, false), false)).toEqual(value);
  },
);

test("a field of text takes all as text", () => {
  expect(written("5", true)).toBe("5");
  expect(typed("5", true)).toBe("5");
  // biome-ignore lint/suspicious/noTemplateCurlyInString: that is how templates are written
  expect(typed("${{ input.a }}", false)).toBe("${{ input.a }}");
});
