import { Plus, Trash2 } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Button, IconButton } from "@/kit/button";
import { Field } from "@/kit/field";
import { useModels, useTools } from "../data";
import { put } from "../model/edits";
import { record, type Values } from "../model/model";
import { useEditor } from "../state";
import { PlaceContext } from "./context";
import { CodeInput, ListInput, NumberInput, TextInput } from "./inputs";
import { JsonInput } from "./json-input";

// TopForm asks for what a pipeline is besides its nodes.
export function TopForm({ onShow }: { onShow: (node: string) => void }) {
  const { editing } = useEditor();
  const { model, select } = editing;
  const { top } = model;
  return (
    <PlaceContext value={{ node: undefined }}>
      <section aria-label="The pipeline" className="flex flex-col gap-4">
        <h2 className="font-medium">The pipeline</h2>
        <TextInput
          path={["name"]}
          label="name *"
          value={top.name}
          keep
          hint="lower-case, and the same in all versions"
        />
        <TextInput path={["description"]} label="description" value={top.description} lines />
        {model.nodes.length > 0 && (
          <Field label="Go to a node" hint="Or choose one in the graph: its fields are shown here.">
            {(p) => (
              <select
                {...p}
                className="input"
                value=""
                onChange={(e) => {
                  select([e.target.value]);
                  onShow(e.target.value);
                }}
              >
                <option value="">Choose</option>
                {model.nodes.map((n) => (
                  <option key={n.id} value={n.id}>
                    {n.id} ({n.kind})
                  </option>
                ))}
              </select>
            )}
          </Field>
        )}
        <Fold title="Agents" count={Object.keys(model.agents).length} open>
          <Agents agents={model.agents} />
        </Fold>
        <Fold title="Input" count={model.inputSchema === undefined ? 0 : 1}>
          <JsonInput
            path={["input_schema"]}
            label="input_schema"
            value={model.inputSchema}
            hint="A JSON Schema: the form of a run's input is made of it, and what does not fit is refused."
          />
        </Fold>
        <Fold title="Variables" count={Object.keys(model.vars).length}>
          <Variables vars={model.vars} />
        </Fold>
        <Fold title="Output" count={top.output === undefined ? 0 : 1}>
          <CodeInput
            path={["output"]}
            label="output"
            value={top.output}
            template
            text={false}
            hint="What a run leaves behind: JSON or text, with expressions."
          />
        </Fold>
      </section>
    </PlaceContext>
  );
}

interface FoldProps {
  title: string;
  count: number;
  open?: boolean;
  children: ReactNode;
}

function Fold({ title, count, open, children }: FoldProps) {
  return (
    <details className="rounded-md border" open={open && count > 0}>
      <summary className="px-3 py-2 text-xs font-medium text-soft">
        {title}
        {count > 0 && `: ${count}`}
      </summary>
      <div className="flex flex-col gap-4 border-t p-3">{children}</div>
    </details>
  );
}

function Agents({ agents }: { agents: Record<string, Values> }) {
  const models = useModels();
  const tools = useTools();
  return (
    <>
      {Object.entries(agents).map(([name, spec]) => {
        const at = (field: string) => ({ path: ["agents", name, field], value: spec[field], label: field });
        return (
          <Named key={name} path={["agents", name]} name={name}>
            <TextInput {...at("model")} label="model *" keep options={models} placeholder="provider/model" />
            <TextInput {...at("prompt")} lines hint="what the agent is told to be" />
            <ListInput {...at("tools")} options={tools.map((t) => t.name)} hint="the tools that it may use" />
            <ListInput
              {...at("fallback")}
              options={models}
              hint="models to ask, in this order, when that one does not answer"
            />
            <NumberInput {...at("max_steps")} hint="how often it asks its model at most" />
          </Named>
        );
      })}
      <Add
        label="Name of another agent"
        under="agents"
        taken={agents}
        value={{ model: models[0] ?? "offline/extract", prompt: "You help." }}
      />
    </>
  );
}

function Variables({ vars }: { vars: Values }) {
  const { editing } = useEditor();
  return (
    <>
      {Object.entries(vars).map(([name, value]) => (
        <CodeInput
          key={name}
          path={["vars", name]}
          label={name}
          value={value}
          keep
          template
          text={false}
          onRemove={() => editing.edit(put(["vars", name], undefined))}
        />
      ))}
      <Add label="Name of another variable" under="vars" taken={vars} value="" />
    </>
  );
}

function Named({ path, name, children }: { path: string[]; name: string; children: ReactNode }) {
  const { editing } = useEditor();
  const fixed = editing.readOnly || editing.broken !== undefined;
  return (
    <fieldset className="flex flex-col gap-3 rounded-md border p-3">
      <legend className="px-1 text-xs font-medium">{name}</legend>
      {children}
      {!fixed && (
        <IconButton label={`Remove ${name}`} className="self-end" onClick={() => editing.edit(put(path, undefined))}>
          <Trash2 aria-hidden size={14} />
        </IconButton>
      )}
    </fieldset>
  );
}

interface AddProps {
  label: string;
  under: string;
  taken: unknown;
  value: unknown;
}

// Add puts something of a new name into a mapping.
function Add({ label, under, taken, value }: AddProps) {
  const { editing } = useEditor();
  const [name, setName] = useState("");
  const key = name.trim();
  const bad = key !== "" && !/^[a-z][a-z0-9_]*$/.test(key);
  const used = key in record(taken);
  if (editing.readOnly || editing.broken) return null;
  return (
    <form
      className="flex items-end gap-2"
      onSubmit={(e) => {
        e.preventDefault();
        if (key === "" || bad || used) return;
        if (editing.edit(put([under, key], value))) setName("");
      }}
    >
      <div className="min-w-0 flex-1">
        <Field
          label={label}
          problem={
            bad
              ? "Lower-case letters, digits and _, beginning with a letter."
              : used
                ? "It is there already."
                : undefined
          }
        >
          {(p) => <input {...p} className="input" value={name} onChange={(e) => setName(e.target.value)} />}
        </Field>
      </div>
      <Button type="submit" disabled={key === "" || bad || used}>
        <Plus aria-hidden size={13} /> Add
      </Button>
    </form>
  );
}
