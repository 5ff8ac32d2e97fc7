import { record, type Values } from "../model/model";

export type Shape = "object" | "array" | "string" | "number" | "integer" | "boolean" | "enum" | "json";

const simple = new Set<string>(["object", "array", "string", "number", "integer", "boolean"]);

// shapeOf is which input a JSON Schema is given by. What a form cannot ask for
// is written as JSON.
export function shapeOf(schema: unknown): Shape {
  const s = record(schema);
  if (s.$ref !== undefined || s.oneOf !== undefined || s.anyOf !== undefined || s.allOf !== undefined) return "json";
  if (Array.isArray(s.enum)) return s.enum.every((v) => typeof v !== "object" || v === null) ? "enum" : "json";
  const types = (Array.isArray(s.type) ? s.type : [s.type]).filter((t) => t !== "null");
  const type = types.length === 1 ? types[0] : undefined;
  if (type === undefined && s.properties !== undefined) return "object";
  if (typeof type !== "string" || !simple.has(type)) return "json";
  if (type === "object" && Object.keys(record(s.properties)).length === 0) return "json";
  if (type === "array" && (s.items === undefined || Array.isArray(s.items))) return "json";
  return type as Shape;
}

export const requiredOf = (schema: unknown): string[] => {
  const { required } = record(schema);
  return Array.isArray(required) ? required.map(String) : [];
};

// initial is what a form begins with: the defaults, and the objects that must be there.
export function initial(schema: unknown): unknown {
  const s = record(schema);
  if (s.default !== undefined) return s.default;
  switch (shapeOf(s)) {
    case "object": {
      const value: Values = {};
      const required = requiredOf(s);
      for (const [name, inner] of Object.entries(record(s.properties))) {
        const first = record(inner).default ?? (required.includes(name) ? initial(inner) : undefined);
        if (first !== undefined) value[name] = first;
      }
      return value;
    }
    case "array":
      return [];
    case "boolean":
      return false;
    default:
      return undefined;
  }
}

// lacking are the fields that must be given and are not, by their paths.
export function lacking(schema: unknown, value: unknown, path: string): string[] {
  const s = record(schema);
  const shape = shapeOf(s);
  if (shape === "object" && typeof value === "object" && value !== null) {
    const missing = requiredOf(s)
      .filter((name) => record(value)[name] === undefined)
      .map((name) => `${path}.${name}`);
    const inner = Object.entries(record(s.properties)).flatMap(([name, p]) =>
      record(value)[name] === undefined ? [] : lacking(p, record(value)[name], `${path}.${name}`),
    );
    return [...missing, ...inner];
  }
  if (shape === "array" && Array.isArray(value)) {
    return value.flatMap((item, i) =>
      item === undefined ? [`${path}[${i}]`] : lacking(s.items, item, `${path}[${i}]`),
    );
  }
  return [];
}
