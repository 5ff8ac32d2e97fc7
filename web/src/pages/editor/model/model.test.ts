import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  add,
  connect,
  copyOf,
  disconnect,
  type Edit,
  fresh,
  paste,
  place,
  put,
  remove,
  rename,
  unplace,
} from "./edits";
import { begin, change, redo, undo } from "./history";
import { layout } from "./layout";
import { edgeId, modelOf, refusal, upstream } from "./model";
import { follow, renamed } from "./rename";
import { read, write } from "./text";
import { whereIs } from "./where";
import { textOf } from "./write";

const source = `# What this is.
name: demo
vars: {limit: 3}
nodes:
  start: {kind: trigger}
  # The look.
  look:
    kind: tool # which one
    needs: [start]
    tool: files.list
    with: {glob: "\${{ input.glob }}"}
    on_error: branch
  any: {kind: condition, needs: [look], when: "size(nodes.look.output.entries) > vars.limit"}
  tell:
    kind: transform
    needs: [any.true, look.error]
    set: {all: "nodes.look is \${{ nodes.look.output }} and 'nodes.look'"}
edges:
  - {from: any, to: tell, branch: "false"}
output: "\${{ nodes.tell.output }}"
`;

const edited = (text: string, ...edits: Edit[]): string => {
  const { doc } = read(text);
  for (const edit of edits) edit(doc);
  return write(doc);
};

const model = (text: string) => modelOf(read(text).doc);

describe("reading", () => {
  it("gives nodes, edges of both forms and branches", () => {
    const m = model(source);
    expect(m.nodes.map((n) => n.id)).toEqual(["start", "look", "any", "tell"]);
    expect(m.edges.map(edgeId).sort()).toEqual([
      "any.false>tell",
      "any.true>tell",
      "look.>any",
      "look.error>tell",
      "start.>look",
    ]);
    expect(m.nodes.map((n) => n.branches)).toEqual([[""], ["", "error"], ["true", "false"], [""]]);
  });
  it("tells where a text is no YAML", () => {
    expect(read("name: a\nnodes: {start: {kind: trigger}\n").broken?.line).toBeGreaterThan(1);
    expect(read("").broken).toBeUndefined();
    expect(model("").nodes).toEqual([]);
    expect(model("nodes: [1]\n").nodes).toEqual([]);
    expect(model("nodes: {a: , b: 5}\n").nodes.map((n) => n.kind)).toEqual(["", ""]);
  });
  it("has cases as branches", () => {
    const m = model("nodes: {a: {kind: condition, switch: input.x, cases: [b, c], on_error: branch}}\n");
    expect(m.nodes[0]?.branches).toEqual(["b", "c", "default", "error"]);
  });
});

describe("writing", () => {
  it("leaves alone what nobody changed", () => {
    for (const name of readdirSync("../examples")) {
      const text = readFileSync(`../examples/${name}`, "utf8");
      const again = edited(text);
      expect(read(again).doc.toJS()).toEqual(read(text).doc.toJS());
      expect(again.split("\n").filter((l) => l.trim().startsWith("#"))).toEqual(
        text.split("\n").filter((l) => l.trim().startsWith("#")),
      );
      expect(edited(again)).toBe(again);
    }
    expect(edited(source)).toBe(source);
    expect(edited("a: 12345678901234567890\nb: 2.50\nc: 0x10\n")).toBe("a: 12345678901234567890\nb: 2.50\nc: 0x10\n");
  });
  it("changes one line for one field", () => {
    const next = edited(source, put(["nodes", "look", "tool"], "files.search"));
    expect(next).toBe(source.replace("tool: files.list", "tool: files.search"));
    expect(edited(next, put(["nodes", "look", "tool"], "files.list"))).toBe(source);
  });
  it("keeps the quotes of a text", () => {
    expect(edited(source, put(["nodes", "any", "when"], "true"))).toContain('when: "true"');
  });
  it("makes the mappings on the way", () => {
    expect(edited("nodes:\n  a:\n", put(["nodes", "a", "retry", "factor"], 2))).toBe(
      "nodes:\n  a:\n    retry:\n      factor: 2\n",
    );
  });
  it("writes an alias out instead of changing what others share", () => {
    const shared = "nodes:\n  a: {kind: tool, retry: &r {factor: 2}}\n  b: {kind: tool, retry: *r}\n";
    const m = model(edited(shared, put(["nodes", "b", "retry", "factor"], 3)));
    expect(m.nodes.map((n) => n.body.retry)).toEqual([{ factor: 2 }, { factor: 3 }]);
  });
});

describe("edits", () => {
  it("add, with the edge that leads there", () => {
    const m = model(edited(source, add("wait", { kind: "delay", for: "10s" }, { from: "any", branch: "true" })));
    expect(m.nodes.at(-1)).toMatchObject({ id: "wait", body: { kind: "delay", needs: ["any.true"], for: "10s" } });
    expect(edited("", add("start", { kind: "trigger" }))).toBe("nodes:\n  start: {kind: trigger}\n");
  });
  it("remove a node with its edges", () => {
    const next = edited(source, remove(new Set(["any"])));
    expect(model(next).edges.map(edgeId)).toEqual(["start.>look", "look.error>tell"]);
    expect(next).not.toContain("edges:");
    expect(next).toContain("# The look.");
  });
  it("connect and disconnect", () => {
    const joined = edited(source, connect({ from: "start", to: "tell", branch: "" }));
    expect(joined).toContain("needs: [any.true, look.error, start]");
    expect(edited(joined, disconnect([{ from: "start", to: "tell", branch: "" }]))).toBe(source);
    const cut = edited(source, disconnect(model(source).edges.filter((e) => e.to === "tell")));
    expect(model(cut).edges.map(edgeId)).toEqual(["start.>look", "look.>any"]);
    expect(edited(cut, connect({ from: "any", to: "tell", branch: "true" }))).toContain(
      "kind: transform\n    needs: [any.true]\n",
    );
  });
  it("rename a node in needs, edges and expressions", () => {
    const next = edited(source, rename("look", "seen"), rename("any", "some"));
    expect(next).toBe(
      source
        .replace("  look:\n", "  seen:\n")
        .replace(
          'any: {kind: condition, needs: [look], when: "size(nodes.look.',
          'some: {kind: condition, needs: [seen], when: "size(nodes.seen.',
        )
        .replace("[any.true, look.error]", "[some.true, seen.error]")
        .replace("${{ nodes.look.output }}", "${{ nodes.seen.output }}")
        .replace("{from: any,", "{from: some,"),
    );
  });
  it("place and unplace", () => {
    const placed = edited(source, place(new Map([["look", [10.4, -3] as const]])));
    expect(model(placed).nodes[1]?.position).toEqual([10, -3]);
    expect(placed).toContain("position: [10, -3]");
    expect(edited(placed, unplace)).toBe(source);
  });
  it("copy and paste under other names", () => {
    const text = copyOf(read(source).doc, new Set(["look", "any"]));
    const { doc } = read(source);
    expect(paste(doc, text)).toEqual(["look_2", "any_2"]);
    const m = modelOf(doc);
    expect(m.edges.map(edgeId)).toContain("look_2.>any_2");
    expect(m.edges.map(edgeId)).not.toContain("start.>look_2");
    expect(m.nodes.at(-1)?.body.when).toBe("size(nodes.look_2.output.entries) > vars.limit");
    expect(text).toContain("# which one");
    expect(paste(read(source).doc, "just text")).toBeUndefined();
    const listed = copyOf(read(source).doc, new Set(["any", "tell"]));
    expect(model(listed).edges.map(edgeId).sort()).toEqual(["any.false>tell", "any.true>tell"]);
  });
  it("find free IDs", () => {
    expect(fresh("a", ["b"])).toBe("a");
    expect(fresh("a_2", ["a", "a_2", "a_3"])).toBe("a_4");
  });
});

describe("expressions", () => {
  const names = new Map([["a", "b"]]);
  it("follow a renamed node, and nothing else", () => {
    expect(renamed("nodes.a.output + nodes . a.state + x.nodes.a + 'nodes.a' + nodes.ab.output", names)).toBe(
      "nodes.b.output + nodes . b.state + x.nodes.a + 'nodes.a' + nodes.ab.output",
    );
    expect(renamed(`r"\\" + nodes.a.output + "it's" + nodes.a.state`, names)).toContain("nodes.b.state");
  });
  it("stand in ${{ }} or in fields of their own", () => {
    expect(follow("nodes.a ${{ {'x': nodes.a.output} }} $${{ nodes.a }}", "task", names)).toBe(
      "nodes.a ${{ {'x': nodes.b.output} }} $${{ nodes.a }}",
    );
    expect(follow("nodes.a.output", "when", names)).toBe("nodes.b.output");
    expect(follow("nodes.a.output", "task", names)).toBe("nodes.a.output");
  });
});

describe("the graph", () => {
  it("refuses what would go round", () => {
    const m = model(source);
    expect([...upstream(m, "any")].sort()).toEqual(["look", "start"]);
    expect(refusal(m, { from: "tell", to: "look", branch: "" })).toContain("wait for each other");
    expect(refusal(m, { from: "look", to: "look", branch: "" })).toBeDefined();
    expect(refusal(m, { from: "look", to: "start", branch: "" })).toContain("trigger");
    expect(refusal(m, { from: "look", to: "any", branch: "" })).toContain("already");
    expect(refusal(m, { from: "start", to: "tell", branch: "" })).toBeUndefined();
  });
  it("is laid out without overlap, from left to right", () => {
    const at = layout(model(source));
    expect((at.get("start")?.[0] ?? 0) < (at.get("look")?.[0] ?? 0)).toBe(true);
    const pinned = layout(model(edited(source, place(new Map([["tell", at.get("look") ?? [0, 0]]])))));
    expect(pinned.get("tell")).toEqual(at.get("look"));
    expect(pinned.get("look")).not.toEqual(at.get("look"));
  });
});

describe("faults", () => {
  const at = (path: string) => {
    const { from, to, ...rest } = whereIs(read(source).doc, source, path);
    return { text: source.slice(from, to), ...rest };
  };
  it("are found by their paths", () => {
    expect(at("nodes.look.with.glob")).toEqual({ text: '"${{ input.glob }}"', node: "look", field: "with.glob" });
    expect(at("nodes.tell.needs[1]")).toEqual({ text: "look.error", node: "tell", field: "needs[1]" });
    expect(at("nodes.tell.retry.factor")).toEqual({ text: "tell", node: "tell", field: "retry.factor" });
    expect(at("edges[0].branch")).toEqual({ text: '"false"', node: undefined, field: "edges[0].branch" });
    expect(at("line 3")).toEqual({ text: "vars: {limit: 3}", node: undefined, field: undefined });
    expect(at("definition.name").text).toBe("demo");
    expect(at("description").text).toBe("# What this is.");
  });
});

describe("history", () => {
  it("takes what is typed as one step, and other changes one by one", () => {
    let h = begin("a");
    h = change(h, "ab", true, 1000);
    h = change(h, "abc", true, 1500);
    h = change(h, "abcd", false, 1600);
    h = change(h, "abcde", true, 1700);
    expect(h.past).toEqual(["a", "abc", "abcd"]);
    h = undo(undo(h));
    expect(h.text).toBe("abc");
    expect(redo(redo(redo(h))).text).toBe("abcde");
    expect(change(h, "x", false, 0).future).toEqual([]);
    expect(undo(undo(undo(h))).text).toBe("a");
  });
});

describe("stored definitions", () => {
  it("are written as people write them, and mean the same", () => {
    const stored = {
      name: "demo",
      nodes: {
        start: { kind: "trigger" },
        look: { kind: "tool", tool: "files.list", with: { glob: "${{ input.glob }}" }, position: [1, 2] },
        long: {
          kind: "agent",
          agent: "a",
          task: "first line\nsecond line",
          output_schema: { type: "object", properties: { a: { type: "object", properties: {} } } },
        },
      },
      edges: [
        { from: "start", to: "look" },
        { from: "look", to: "long", branch: "error" },
      ],
      output: "${{ nodes.look.output }}",
    };
    const text = textOf(stored);
    expect(text).toContain("  start: {kind: trigger}\n");
    expect(text).toContain("needs: [look.error]");
    expect(text).toContain("task: |-\n");
    const m = model(text);
    expect(m.edges.map(edgeId)).toEqual(["start.>look", "look.error>long"]);
    expect(m.nodes[2]?.body.output_schema).toEqual(stored.nodes.long.output_schema);
    expect(text.indexOf("nodes:")).toBeLessThan(text.indexOf("output:"));
  });
});
