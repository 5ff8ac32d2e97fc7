import { useContext } from "react";
import { type Kind, type KindField, useKinds, useModels, usePipelines, useTools } from "../data";
import { record, type Values } from "../model/model";
import type { Path } from "../model/text";
import { set } from "../model/text";
import { useEditor } from "../state";
import { PlaceContext, useField } from "./context";
import { ChoiceInput, CodeInput, ListInput, NumberInput, TextInput } from "./inputs";
import { JsonInput } from "./json-input";
import { Mapping } from "./mapping";

interface FieldInputProps {
  field: KindField;
  path: Path; // of the mapping that holds the field, within the node
  body: Values; // that mapping
  chosen?: boolean; // the field is the one of several that the node has
}

const example = (name: string, text: string) => (
  <>
    {text}, as in <code>{name}</code>
  </>
);

// FieldInput asks for a field of a kind by its type.
export function FieldInput({ field, path: under, body, chosen }: FieldInputProps) {
  const { editing, project } = useEditor();
  const tools = useTools();
  const models = useModels();
  const pipelines = usePipelines(project);
  const path = [...under, field.name];
  const value = body[field.name];
  const common = {
    path,
    value,
    label: `${field.name}${field.required ? " *" : ""}`,
    hint: field.summary,
    keep: field.required || chosen === true,
  };
  const names = (list: readonly { name: string }[]) => list.map((n) => n.name);
  switch (field.type) {
    case "bool":
    case "time":
    case "list":
    case "value":
      return <CodeInput {...common} template={false} hint={`${field.summary}; an expression`} />;
    case "text":
      return (
        <CodeInput {...common} template hint={example("${{ input }}", `${field.summary}; it may hold expressions`)} />
      );
    case "template":
      return <CodeInput {...common} template text={false} hint={`${field.summary}; JSON or text, with expressions`} />;
    case "object":
      return <Mapping {...common} known={knownOf(body, tools)} />;
    case "arguments":
      return <Mapping {...common} known={tools.find((t) => t.name === body.tool)?.input_schema} />;
    case "enum":
      return <ChoiceInput {...common} values={field.values ?? []} />;
    case "flag":
      return <ChoiceInput {...common} values={[true, false]} />;
    case "int":
      return <NumberInput {...common} min={field.min} max={field.max} />;
    case "count":
      return <NumberInput {...common} min={field.min} max={field.max} words={field.values ?? []} />;
    case "duration":
      return <TextInput {...common} placeholder="30s, 5m, 2h" />;
    case "strings":
      return <ListInput {...common} />;
    case "tools":
      return <ListInput {...common} options={names(tools)} />;
    case "models":
      return <ListInput {...common} options={models} />;
    case "agent":
      return <TextInput {...common} options={Object.keys(editing.model.agents)} />;
    case "tool":
      return <TextInput {...common} options={names(tools)} />;
    case "model":
      return <TextInput {...common} options={models} placeholder="provider/model" />;
    case "pipeline":
      return <TextInput {...common} options={pipelines} />;
    case "schema":
    case "json":
      return <JsonInput {...common} />;
    case "retry":
      return <Retry path={path} value={record(value)} hint={field.summary} />;
    case "node":
      return <Inner path={path} value={record(value)} hint={field.summary} />;
    default:
      return <TextInput {...common} lines={field.name === "prompt"} />;
  }
}

// What an action does is done by a tool, whose arguments are known.
function knownOf(body: Values, tools: ReturnType<typeof useTools>): unknown {
  const tool = { send_notification: "notify.send", call_api: "http.request" }[String(body.action)];
  return tools.find((t) => t.name === tool)?.input_schema;
}

interface KindFieldsProps {
  kind: Kind;
  path: Path;
  body: Values;
}

// KindFields are the fields of a kind that it shares with no other.
export function KindFields({ kind, path, body }: KindFieldsProps) {
  const oneOf = kind.one_of ?? [];
  const fields = kind.fields ?? [];
  const given = oneOf.filter((name) => body[name] !== undefined);
  const shown = given.length > 0 ? given : oneOf.slice(0, 1);
  return (
    <>
      {oneOf.length > 0 && <Which path={path} of={oneOf} given={given} fields={fields} />}
      {fields
        .filter((f) => !oneOf.includes(f.name) || shown.includes(f.name))
        .filter((f) => !f.with || shown.includes(f.with) || body[f.name] !== undefined)
        .map((f) =>
          f.name === "with" && ["run_task", "execute_pipeline"].includes(String(body.action)) ? (
            <As
              key={f.name}
              kind={body.action === "run_task" ? "agent" : "pipeline"}
              path={[...path, "with"]}
              body={record(body.with)}
            />
          ) : (
            <FieldInput key={f.name} field={f} path={path} body={body} chosen={shown.includes(f.name)} />
          ),
        )}
    </>
  );
}

// As asks for what an action needs, as another kind of node does.
function As({ kind, path, body }: { kind: string; path: Path; body: Values }) {
  const found = useKinds().find((k) => k.kind === kind);
  return found ? <KindFields kind={found} path={path} body={body} /> : null;
}

interface WhichProps {
  path: Path;
  of: string[];
  given: string[];
  fields: KindField[];
}

// Which asks which of several fields the node has.
function Which({ path, of, given, fields }: WhichProps) {
  const { editing } = useEditor();
  const { node } = useContext(PlaceContext);
  const fixed = editing.readOnly || editing.broken !== undefined;
  const choose = (name: string) =>
    editing.edit((doc) => {
      const at = (field: string) => [...(node === undefined ? [] : ["nodes", node]), ...path, field];
      for (const other of of) if (other !== name) set(doc, at(other), undefined);
      for (const f of fields) if (f.with && f.with !== name && of.includes(f.with)) set(doc, at(f.name), undefined);
      set(doc, at(name), "");
    });
  return (
    <fieldset className="flex flex-wrap items-center gap-x-4 gap-y-1">
      <legend className="sr-only">Which of these</legend>
      {of.map((name, i) => (
        <label key={name} className="flex items-center gap-1.5">
          <input
            type="radio"
            name={`which ${path.join(".")}`}
            disabled={fixed}
            checked={given.length === 0 ? i === 0 : given.includes(name)}
            onChange={() => choose(name)}
          />
          {name}
        </label>
      ))}
    </fieldset>
  );
}

function Retry({ path, value, hint }: { path: Path; value: Values; hint: string }) {
  const { own } = useField(path);
  const at = (name: string) => ({ path: [...path, name], value: value[name], label: name });
  return (
    <fieldset className="flex flex-col gap-3 rounded-md border p-3">
      <legend className="px-1 text-xs font-medium text-soft">retry</legend>
      <p className="text-xs text-soft">{hint}</p>
      {own && <p className="text-xs text-bad">{own}</p>}
      <NumberInput {...at("max_attempts")} hint="tries in all; 1 where it is absent" />
      <div className="grid grid-cols-2 gap-3">
        <TextInput {...at("initial_delay")} placeholder="500ms" />
        <TextInput {...at("max_delay")} placeholder="30s" />
        <NumberInput {...at("factor")} fractions />
        <NumberInput {...at("jitter")} fractions />
      </div>
      <ListInput {...at("on")} hint="kinds of failures; those that may pass where it is absent" />
    </fieldset>
  );
}

// Inner asks for the node that a map does for each item.
function Inner({ path, value, hint }: { path: Path; value: Values; hint: string }) {
  const place = useContext(PlaceContext);
  const kinds = useKinds().filter((k) => k.in_map);
  const kind = kinds.find((k) => k.kind === value.kind);
  return (
    <PlaceContext value={{ ...place, inMap: true }}>
      <fieldset className="flex flex-col gap-3 rounded-md border p-3">
        <legend className="px-1 text-xs font-medium text-soft">do *</legend>
        <p className="text-xs text-soft">{hint}</p>
        <ChoiceInput
          path={[...path, "kind"]}
          label="kind"
          value={value.kind}
          values={kinds.map((k) => k.kind)}
          usual="Choose"
        />
        {kind && <KindFields kind={kind} path={path} body={value} />}
        {kind && <Common kind={kind} path={path} body={value} without={["kind", "needs", "name", "position"]} />}
      </fieldset>
    </PlaceContext>
  );
}

interface CommonProps extends KindFieldsProps {
  without: string[]; // what is asked for elsewhere
}

// Common are the fields that a kind shares with others, folded away.
export function Common({ kind, path, body, without }: CommonProps) {
  const fields = (kind.common ?? []).filter((f) => !without.includes(f.name));
  const used = fields.filter((f) => body[f.name] !== undefined).map((f) => f.name);
  return (
    <details className="rounded-md border" data-common>
      <summary className="px-3 py-2 text-xs font-medium text-soft">
        Time, tries and failures{used.length > 0 && `: ${used.join(", ")}`}
      </summary>
      <div className="flex flex-col gap-3 border-t p-3">
        {fields.map((f) => (
          <FieldInput key={f.name} field={f} path={path} body={body} />
        ))}
      </div>
    </details>
  );
}
