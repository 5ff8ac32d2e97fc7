import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Button } from "@/kit/button";
import { cx } from "@/kit/class";
import { Dialog } from "@/kit/dialog";
import { Canvas } from "./canvas/canvas";
import { newBody } from "./canvas/kinds";
import { Palette } from "./canvas/palette";
import { useCanvasKeys } from "./canvas/use-keys";
import type { Checking } from "./check";
import { type Mark, Yaml } from "./code/yaml";
import { Faults } from "./faults";
import { Form } from "./form/form";
import { add, fresh, place } from "./model/edits";
import { free, heightOf, layout, type Point, waysOf, width } from "./model/layout";
import type { Edge } from "./model/model";
import { whereIs } from "./model/where";
import { Split } from "./split";
import { type Fault, useEditor } from "./state";

interface WorkbenchProps {
  checking: Checking;
  noComments: boolean; // comments of the text are lost when it is stored
}

type Side = "form" | "yaml";
type Small = Side | "canvas";

// Workbench is the graph of a pipeline beside its text and its forms.
export default function Workbench({ checking, noComments }: WorkbenchProps) {
  const { editing, faults } = useEditor();
  const { model, selected, select, text, edit } = editing;
  const [wanted, setSide] = useState<Side>();
  // The text is shown until a node is chosen, and then its form, unless somebody says otherwise.
  const side = wanted ?? (selected.size > 0 ? "form" : "yaml");
  const [small, setSmall] = useState<Small>("canvas");
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  const [asked, setAsked] = useState<{ at?: Point; near?: Omit<Edge, "to"> }>();
  const [shown, setShown] = useState<{ node: string }>();
  const [goTo, setGoTo] = useState<{ at: number; focus: boolean }>();
  const [field, setField] = useState<{ name: string }>();
  const root = useRef<HTMLDivElement>(null);

  const addNode = useCallback(
    (what: string, at?: Point, near?: Omit<Edge, "to">) => {
      const tool = what.startsWith("tool:") ? what.slice(5) : undefined;
      const kind = tool === undefined ? what : "tool";
      const one = selected.size === 1 ? model.nodes.find((n) => selected.has(n.id)) : undefined;
      const before = near ?? (one && !at ? { from: one.id, branch: one.branches[0] ?? "" } : undefined);
      const wanted = kind === "trigger" ? "start" : (tool?.replace(/[^a-z0-9]+/g, "_") ?? kind);
      const id = fresh(
        wanted,
        model.nodes.map((n) => n.id),
      );
      const body = { ...newBody(kind), ...(tool !== undefined && { tool }) };
      const places = layout(model);
      const manual = model.nodes.some((n) => n.position);
      const done = edit((doc) => {
        add(id, body, kind === "trigger" ? undefined : before)(doc);
        if (!at && !manual) return; // the layout finds it a place
        const from = before && places.get(before.from);
        const heights = new Map(model.nodes.map((n) => [n.id, heightOf(waysOf(model, n).length)]));
        const point = at ?? free(from ? [from[0] + width + 72, from[1]] : [0, 0], heightOf(1), places, heights);
        place(new Map([[id, point]]))(doc);
      });
      if (done) {
        select([id]);
        added.current = id;
        setSide("form");
        setShown({ node: id });
      }
      setAsked(undefined);
    },
    [edit, model, select, selected],
  );

  // What was added has the focus once it is drawn: the next key is for it.
  const added = useRef<string>(undefined);
  useEffect(() => {
    if (!added.current) return;
    focusNode(root.current, added.current, 20);
    added.current = undefined;
  });

  const openPalette = useCallback(() => {
    const input = root.current?.querySelector<HTMLInputElement>("[data-palette]");
    if (input?.offsetParent) input.focus();
    else setAsked({});
  }, []);
  useCanvasKeys({ root, marked, setMarked, openPalette });

  const goToFault = useCallback(
    (fault: Fault) => {
      if (fault.node) {
        select([fault.node]);
        setShown({ node: fault.node });
      }
      if (fault.node && side === "form") setField({ name: fault.field ?? "" });
      else setSide("yaml");
      setSmall(fault.node && side === "form" ? "form" : "yaml");
      setGoTo({ at: fault.from, focus: side === "yaml" || !fault.node });
    },
    [select, side],
  );

  // The cursor in the text chooses the node that it stands in.
  const cursor = useCallback(
    (at: number) => {
      const doc = editing.doc;
      const inside = model.nodes.findLast((n) => whereIs(doc, text, `nodes.${n.id}`).from <= at);
      setSide("yaml");
      if (inside) select([inside.id]);
    },
    [editing.doc, model, select, text],
  );
  // What is chosen on the canvas is shown in the text.
  const last = useRef("");
  useEffect(() => {
    const [id] = selected;
    if (selected.size !== 1 || id === undefined || id === last.current) return;
    last.current = id;
    if (document.activeElement?.closest(".cm-editor")) return;
    setGoTo({ at: whereIs(editing.doc, editing.text, `nodes.${id}`).from, focus: false });
  }, [selected, editing.doc, editing.text]);

  const marks = useMemo<Mark[]>(() => {
    if (!editing.broken) return faults.map((f) => ({ from: f.from, to: f.to, message: f.problem }));
    const { from, to } = whereIs(editing.doc, text, `line ${editing.broken.line}`);
    return [{ from, to, message: editing.broken.problem }];
  }, [faults, editing, text]);

  const yaml = (
    <div className="flex h-full min-h-0 flex-col">
      {noComments && (
        <p className="border-b bg-wait-soft px-3 py-1 text-xs text-wait">
          The service keeps what a definition means, not how it is written: comments are lost once it is stored.
        </p>
      )}
      <div className="min-h-0 flex-1">
        <Yaml
          value={text}
          {...(!editing.readOnly && { onChange: editing.type })}
          label="Definition, as YAML"
          marks={marks}
          goTo={goTo}
          onCursor={cursor}
        />
      </div>
    </div>
  );
  const form = <Form goTo={field} onShow={(node) => setShown({ node })} />;

  return (
    <div ref={root} className="flex min-h-0 flex-1 flex-col">
      <Tabs
        className="border-b md:hidden"
        label="View"
        of={[
          ["canvas", "Graph"],
          ["form", "Form"],
          ["yaml", "YAML"],
        ]}
        value={small}
        onChange={(v) => {
          setSmall(v);
          if (v !== "canvas") setSide(v);
        }}
      />
      <div className="flex min-h-0 flex-1">
        {!editing.readOnly && <Palette onAdd={addNode} className="w-40 shrink-0 border-r bg-card max-lg:hidden" />}
        <Split
          className={cx(
            "min-h-0 flex-1",
            small === "canvas" ? "max-md:[&>*:last-child]:hidden" : "max-md:[&>*:first-child]:hidden",
          )}
          left={
            <div className="relative h-full min-h-0" data-canvas>
              <Canvas
                marked={marked}
                onMark={setMarked}
                onAdd={addNode}
                onAskAdd={(at, near) => setAsked({ at, near })}
                focus={shown}
              />
              {editing.broken && (
                <p
                  role="status"
                  className="absolute inset-x-2 top-2 rounded-md border border-wait bg-wait-soft px-3 py-1.5 text-wait"
                >
                  The YAML cannot be read (line {editing.broken.line}). The graph is as it was before.
                </p>
              )}
              {model.nodes.length === 0 && <Nothing onAdd={addNode} readOnly={editing.readOnly} />}
              {!editing.readOnly && (
                <Button className="!absolute right-2 bottom-2 lg:hidden" look="main" onClick={() => setAsked({})}>
                  Add a node
                </Button>
              )}
            </div>
          }
          right={
            <div className="flex h-full min-h-0 flex-col bg-card">
              <Tabs
                className="border-b max-md:hidden"
                label="Beside the graph"
                of={[
                  ["form", "Form"],
                  ["yaml", "YAML"],
                ]}
                value={side}
                onChange={setSide}
              />
              <div className="min-h-0 flex-1 overflow-y-auto">{side === "yaml" ? yaml : form}</div>
            </div>
          }
        />
      </div>
      <Faults
        faults={faults}
        broken={editing.broken}
        checking={checking}
        readOnly={editing.readOnly}
        onGo={goToFault}
      />
      <Dialog open={asked !== undefined} onClose={() => setAsked(undefined)} title="Add a node">
        <Palette onAdd={(what) => addNode(what, asked?.at, asked?.near)} autoFocus className="h-80 rounded-md border" />
      </Dialog>
    </div>
  );
}

function focusNode(root: HTMLElement | null, id: string, frames: number): void {
  const node = root?.querySelector<HTMLElement>(`.react-flow__node[data-id="${id}"]`);
  if (node) node.focus({ preventScroll: true });
  else if (frames > 0) requestAnimationFrame(() => focusNode(root, id, frames - 1));
}

function Nothing({ onAdd, readOnly }: { onAdd: (kind: string) => void; readOnly: boolean }) {
  return (
    <div className="pointer-events-none absolute inset-0 flex flex-col items-center justify-center gap-2 p-6 text-center">
      <p className="font-medium">No nodes yet</p>
      <p className="max-w-sm text-soft">
        A run begins at the trigger and follows the edges. Add the trigger, then what comes after it: from the list, by
        dragging, or as YAML.
      </p>
      {!readOnly && (
        <Button look="main" className="pointer-events-auto" onClick={() => onAdd("trigger")}>
          Add the trigger
        </Button>
      )}
    </div>
  );
}

interface TabsProps<T extends string> {
  label: string;
  of: [value: T, label: string][];
  value: T;
  onChange: (value: T) => void;
  className?: string;
}

function Tabs<T extends string>({ label, of, value, onChange, className }: TabsProps<T>) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset would be drawn with a frame
    <div role="group" aria-label={label} className={cx("flex gap-1 bg-card px-2 py-1", className)}>
      {of.map(([v, text]) => (
        <button
          key={v}
          type="button"
          aria-pressed={value === v}
          onClick={() => onChange(v)}
          className={cx(
            "rounded-md px-2.5 py-1 text-xs font-medium",
            value === v ? "bg-accent-soft text-accent-deep" : "text-soft hover:bg-sunken",
          )}
        >
          {text}
        </button>
      ))}
    </div>
  );
}
