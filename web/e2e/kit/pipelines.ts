import { readFileSync } from "node:fs";
import { join } from "node:path";

// example is a pipeline of those that come with the program.
export function example(name: string): string {
  return readFileSync(join(import.meta.dirname, "../../../examples", `${name}.yaml`), "utf8");
}

// failing ends badly, unless its input is the text of a number.
export const failing = `
name: failing
input_schema: {type: object, required: [text], properties: {text: {type: string}}}
nodes:
  start: {kind: trigger}
  read: {kind: transform, needs: [start], set: {number: "\${{ int(input.text) }}"}}
  told: {kind: transform, needs: [read], set: {double: "\${{ nodes.read.output.number * 2 }}"}}
output: "\${{ nodes.told.output.double }}"
`;

// waiting waits for longer than any test.
export const waiting = `
name: waiting
nodes:
  start: {kind: trigger}
  pause: {kind: delay, needs: [start], for: 1h}
  after: {kind: transform, needs: [pause], set: {done: true}}
`;

// asking asks something elsewhere to do what must not be done twice.
export const asking = (url: string) => `
name: asking
nodes:
  start: {kind: trigger}
  order: {kind: tool, needs: [start], tool: http.request, with: {method: POST, url: "${url}", body: {what: it}}}
  told: {kind: transform, needs: [order], set: {answer: "\${{ nodes.order.output }}"}}
output: "\${{ nodes.told.output.answer }}"
`;

// wide has as many nodes beside each other as it is told to.
export function wide(count: number): string {
  const nodes = Array.from(
    { length: count },
    (_, i) => `  n${i}: {kind: tool, needs: [start], tool: bench.noop, with: {}}`,
  );
  return `name: wide\nnodes:\n  start: {kind: trigger}\n${nodes.join("\n")}\n`;
}

// big has maps in a row and beside each other, each over so many items.
export function big(maps: number, items: number): string {
  const over = JSON.stringify(Array.from({ length: items }, (_, i) => i));
  const nodes = Array.from(
    { length: maps },
    (_, i) =>
      `  n${i}: {kind: map, needs: [${i < 20 ? "start" : `n${i - 20}`}], over: "${over}", do: {kind: tool, tool: bench.noop, with: {}}}`,
  );
  return `name: big\nnodes:\n  start: {kind: trigger}\n${nodes.join("\n")}\n`;
}
