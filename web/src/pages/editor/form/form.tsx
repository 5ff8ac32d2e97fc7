import { Copy, Trash2 } from "lucide-react";
import { useEffect, useRef } from "react";
import { Button } from "@/kit/button";
import { plural } from "@/kit/format";
import { duplicate, erase } from "../canvas/use-keys";
import { useEditor } from "../state";
import { NodeForm } from "./node-form";
import { TopForm } from "./top-form";

interface FormProps {
  goTo: { name: string } | undefined; // a field to show; a new object shows it again
  onShow: (node: string) => void;
}

const none: ReadonlySet<string> = new Set();

// Form is what is chosen on the canvas, to fill in: a node, or the pipeline
// where nothing is.
export function Form({ goTo, onShow }: FormProps) {
  const { editing } = useEditor();
  const { model, selected, readOnly } = editing;
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (goTo) reveal(root.current, goTo.name);
  }, [goTo]);
  const [id] = selected;
  const node = selected.size === 1 ? model.nodes.find((n) => n.id === id) : undefined;
  return (
    <div ref={root} className="flex flex-col gap-4 p-3">
      {editing.broken && (
        <p role="status" className="rounded-md border border-wait bg-wait-soft px-3 py-1.5 text-wait">
          The YAML cannot be read (line {editing.broken.line}). Mend it there, and the form can be filled in again.
        </p>
      )}
      {selected.size > 1 ? (
        <section aria-label="Chosen nodes" className="flex flex-col gap-3">
          <h2 className="font-medium">{plural(selected.size, "node")} chosen</h2>
          <p className="text-soft">{[...selected].join(", ")}</p>
          {!readOnly && (
            <div className="flex flex-wrap gap-2">
              <Button onClick={() => duplicate(editing)}>
                <Copy aria-hidden size={14} /> Duplicate
              </Button>
              <Button look="danger" onClick={() => erase(editing, none, () => {})}>
                <Trash2 aria-hidden size={14} /> Delete
              </Button>
            </div>
          )}
        </section>
      ) : node ? (
        <NodeForm key={node.id} node={node} onShow={onShow} />
      ) : (
        <TopForm onShow={onShow} />
      )}
    </div>
  );
}

// reveal shows the input of a field, or of the closest one that holds it.
function reveal(root: HTMLElement | null, name: string): void {
  let best: HTMLElement | undefined;
  for (const el of root?.querySelectorAll<HTMLElement>("[data-field]") ?? []) {
    const field = el.dataset.field ?? "";
    const holds = name === field || name.startsWith(`${field}.`) || name.startsWith(`${field}[`);
    if (holds && field.length >= (best?.dataset.field?.length ?? 0)) best = el;
  }
  const details = best?.closest("details");
  if (details) details.open = true;
  best?.scrollIntoView({ block: "center" });
  best?.querySelector<HTMLElement>("input, textarea, select, .cm-content")?.focus({ preventScroll: true });
}
