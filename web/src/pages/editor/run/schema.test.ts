import { expect, it } from "vitest";
import { initial, lacking, shapeOf } from "./schema";

const schema = {
  type: "object",
  required: ["text", "options"],
  properties: {
    text: { type: "string" },
    size: { enum: ["s", "m"], default: "m" },
    options: {
      type: "object",
      required: ["deep"],
      properties: { deep: { type: "boolean" }, n: { type: ["null", "integer"] } },
    },
    list: { type: "array", items: { type: "object", required: ["a"], properties: { a: { type: "string" } } } },
    free: { type: "object" },
    either: { oneOf: [{ type: "string" }, { type: "integer" }] },
  },
};

it("chooses the input that a schema is given by", () => {
  const shapes = Object.entries(schema.properties).map(([name, s]) => [name, shapeOf(s)]);
  expect(Object.fromEntries(shapes)).toEqual({
    text: "string",
    size: "enum",
    options: "object",
    list: "array",
    free: "json",
    either: "json",
  });
  expect(shapeOf(schema.properties.options.properties.n)).toBe("integer");
  expect(shapeOf(undefined)).toBe("json");
  expect(shapeOf({ properties: { a: {} } })).toBe("object");
});

it("begins with defaults and what must be there", () => {
  expect(initial(schema)).toEqual({ size: "m", options: { deep: false } });
});

it("tells what is missing, by its path", () => {
  expect(lacking(schema, { options: {}, list: [{}, { a: "" }] }, "input")).toEqual([
    "input.text",
    "input.options.deep",
    "input.list[0].a",
  ]);
  expect(lacking(schema, { text: "", options: { deep: true } }, "input")).toEqual([]);
});
