import { Copy, Trash2 } from "lucide-react";
import { useState } from "react";
import { Button, IconButton } from "@/kit/button";
import { Field } from "@/kit/field";
import { iconOf } from "../canvas/kinds";
import { duplicate, erase } from "../canvas/use-keys";
import { useKinds } from "../data";
import { put, refusedId, rename } from "../model/edits";
import type { Node } from "../model/model";
import { useEditor } from "../state";
import { PlaceContext } from "./context";
import { Common, KindFields } from "./fields";
import { ChoiceInput, TextInput } from "./inputs";
import { Needs } from "./needs";

interface NodeFormProps {
  node: Node;
  onShow: (node: string) => void;
}

// NodeForm asks for all that a node is.
export function NodeForm({ node, onShow }: NodeFormProps) {
  const { editing, faults } = useEditor();
  const kinds = useKinds();
  const kind = kinds.find((k) => k.kind === node.kind);
  const Icon = iconOf(node.kind);
  const fixed = editing.readOnly || editing.broken !== undefined;
  const whole = faults.filter((f) => f.node === node.id && !f.field).map((f) => f.problem);
  return (
    <PlaceContext value={{ node: node.id }}>
      <section aria-label={`Node ${node.id}`} className="flex flex-col gap-4">
        <header className="flex items-center gap-2">
          <span className="flex size-8 shrink-0 items-center justify-center rounded-md bg-accent-soft text-accent-deep">
            <Icon aria-hidden size={16} />
          </span>
          <div className="min-w-0 flex-1">
            <h2 className="truncate font-medium">{node.name || node.id}</h2>
            <p className="text-xs text-soft">{kind ? `${kind.kind}: ${kind.summary}` : "There is no such kind."}</p>
          </div>
          {!fixed && (
            <>
              <IconButton label="Duplicate the node (Ctrl D)" onClick={() => duplicate(editing)}>
                <Copy aria-hidden size={15} />
              </IconButton>
              <IconButton label="Delete the node (Delete)" onClick={() => erase(editing, new Set(), () => {})}>
                <Trash2 aria-hidden size={15} />
              </IconButton>
            </>
          )}
        </header>
        {whole.length > 0 && (
          <p role="alert" className="text-xs text-bad">
            {whole.join("; ")}
          </p>
        )}
        <div className="grid grid-cols-2 gap-3">
          <Id node={node} fixed={fixed} />
          <TextInput path={["name"]} label="name" value={node.body.name} placeholder="its title" />
        </div>
        {!kind && (
          <ChoiceInput
            path={["kind"]}
            label="kind"
            value={node.body.kind}
            values={kinds.map((k) => k.kind)}
            usual="Choose"
          />
        )}
        <Needs node={node} onShow={onShow} />
        {kind && <KindFields kind={kind} path={[]} body={node.body} />}
        {kind && <Common kind={kind} path={[]} body={node.body} without={["kind", "name", "needs", "position"]} />}
        {node.position && !fixed && (
          <Button
            small
            className="self-start"
            onClick={() => editing.edit(put(["nodes", node.id, "position"], undefined))}
          >
            Let the layout place it
          </Button>
        )}
      </section>
    </PlaceContext>
  );
}

// Id renames a node, with all that refers to it, once the input is left.
function Id({ node, fixed }: { node: Node; fixed: boolean }) {
  const { editing } = useEditor();
  const [text, setText] = useState(node.id);
  const others = editing.model.nodes.map((n) => n.id).filter((id) => id !== node.id);
  const problem = text === node.id ? undefined : refusedId(text, others);
  const leave = () => {
    if (text === node.id) return;
    if (problem || !editing.edit(rename(node.id, text))) setText(node.id);
    else editing.select([text]);
  };
  return (
    <Field label="ID" problem={problem}>
      {(p) => (
        <input
          {...p}
          className="input font-mono"
          readOnly={fixed}
          value={text}
          onChange={(e) => setText(e.target.value)}
          onBlur={leave}
          onKeyDown={(e) => {
            if (e.key === "Enter") leave();
            else if (e.key === "Escape") setText(node.id);
          }}
        />
      )}
    </Field>
  );
}
