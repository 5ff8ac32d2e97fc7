import { Unlink } from "lucide-react";
import { Button, IconButton } from "@/kit/button";
import { Field } from "@/kit/field";
import { wayName } from "../canvas/drawn";
import { connect, disconnect } from "../model/edits";
import { waysOf } from "../model/layout";
import { type Edge, edgeId, type Model, type Node, refusal } from "../model/model";
import { useEditor } from "../state";

const words = (e: Edge, of: "from" | "to"): string => `${e[of]}${e.branch ? `, ${wayName(e.branch)}` : ""}`;

// candidates are the edges that may be added to a node, or from it.
function candidates(model: Model, node: Node, to: boolean): Edge[] {
  return model.nodes
    .filter((n) => n.id !== node.id)
    .flatMap((other) => {
      const [from, target] = to ? [other, node] : [node, other];
      return waysOf(model, from).map((branch) => ({ from: from.id, to: target.id, branch }));
    })
    .filter((e) => !refusal(model, e));
}

// Needs are the edges of a node, as lists: to go along them, to cut and to add.
export function Needs({ node, onShow }: { node: Node; onShow: (node: string) => void }) {
  const { editing } = useEditor();
  const { model, edit, select } = editing;
  const fixed = editing.readOnly || editing.broken !== undefined;
  const list = (title: string, of: "from" | "to", edges: Edge[], more: Edge[], ask: string) => (
    <div className="flex min-w-0 flex-1 basis-40 flex-col gap-1">
      <p className="text-xs font-medium text-soft">{title}</p>
      {edges.length === 0 && <p className="text-xs text-soft">nothing</p>}
      {edges.map((e) => (
        <div key={edgeId(e)} className="flex items-center gap-1">
          <Button
            small
            className="min-w-0 flex-1 !justify-start"
            onClick={() => {
              select([e[of]]);
              onShow(e[of]);
            }}
          >
            <span className="truncate">{words(e, of)}</span>
          </Button>
          {!fixed && (
            <IconButton
              label={`Cut from ${e.from}, ${wayName(e.branch)}, to ${e.to}`}
              onClick={() => edit(disconnect([e]))}
            >
              <Unlink aria-hidden size={14} />
            </IconButton>
          )}
        </div>
      ))}
      {!fixed && more.length > 0 && (
        <Field label={ask} hidden>
          {(p) => (
            <select
              {...p}
              className="input !py-1 text-xs"
              value=""
              onChange={(e) => {
                const chosen = more[Number(e.target.value)];
                if (e.target.value !== "" && chosen) edit(connect(chosen));
              }}
            >
              <option value="">{ask}…</option>
              {more.map((e, i) => (
                <option key={edgeId(e)} value={i}>
                  {words(e, of)}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
    </div>
  );
  const before = model.edges.filter((e) => e.to === node.id);
  const after = model.edges.filter((e) => e.from === node.id);
  return (
    <section aria-label="Edges" className="flex flex-wrap gap-3" data-field="needs">
      {list("Comes after", "from", before, candidates(model, node, true), "Have it come after")}
      {list("Leads to", "to", after, candidates(model, node, false), "Have it lead to")}
    </section>
  );
}
