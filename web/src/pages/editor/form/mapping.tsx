import { Plus } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Button } from "@/kit/button";
import { Field } from "@/kit/field";
import { record } from "../model/model";
import type { Path } from "../model/text";
import { requiredOf } from "../run/schema";
import { nameOf, useField } from "./context";
import { CodeInput } from "./inputs";
import { isText } from "./values";

interface MappingProps {
  path: Path;
  label: string;
  hint: ReactNode;
  value: unknown;
  known?: unknown; // the JSON Schema of the mapping
}

// Mapping asks for names and values: for those that its schema knows, and for
// others by name.
export function Mapping({ path, label, hint, value, known }: MappingProps) {
  const field = useField(path);
  const [name, setName] = useState("");
  const given = record(value);
  const schema = record(known);
  const properties = record(schema.properties);
  const required = requiredOf(schema);
  const rest = Object.keys(given).filter((key) => !(key in properties));
  const add = () => {
    const key = name.trim();
    if (key === "" || key in given) return;
    field.change({ ...given, [key]: "" });
    setName("");
  };
  const free = schema.additionalProperties !== false;
  // Who passes one value for all may do so; it is shown as it is.
  if (typeof value === "string") {
    return <CodeInput path={path} label={label} hint={hint} value={value} template text={false} />;
  }
  return (
    <fieldset className="flex flex-col gap-3 rounded-md border p-3" data-field={nameOf(path)}>
      <legend className="px-1 text-xs font-medium text-soft">{label}</legend>
      {field.own && <p className="text-xs text-bad">{field.own}</p>}
      {Object.entries(properties).map(([key, inner]) => {
        const { description, type, enum: values } = record(inner);
        const choice = Array.isArray(values) ? `one of ${values.join(", ")}` : typeof type === "string" ? type : "";
        return (
          <CodeInput
            key={key}
            path={[...path, key]}
            label={`${key}${required.includes(key) ? " *" : ""}`}
            hint={[choice, typeof description === "string" ? description : ""].filter(Boolean).join(": ")}
            value={given[key]}
            template
            text={isText(inner)}
          />
        );
      })}
      {rest.map((key) => (
        <Entry key={key} path={[...path, key]} name={key} value={given[key]} />
      ))}
      {rest.length + Object.keys(properties).length === 0 && <p className="text-xs text-soft">{hint}</p>}
      {free && !field.fixed && (
        <form
          className="flex items-end gap-2"
          onSubmit={(e) => {
            e.preventDefault();
            add();
          }}
        >
          <div className="min-w-0 flex-1">
            <Field label={`Another name in ${label.replace(" *", "")}`}>
              {(p) => <input {...p} className="input" value={name} onChange={(e) => setName(e.target.value)} />}
            </Field>
          </div>
          <Button type="submit" disabled={name.trim() === "" || name.trim() in given}>
            <Plus aria-hidden size={13} /> Add
          </Button>
        </form>
      )}
    </fieldset>
  );
}

function Entry({ path, name, value }: { path: Path; name: string; value: unknown }) {
  const { change } = useField(path);
  return (
    <CodeInput path={path} label={name} value={value} keep template text={false} onRemove={() => change(undefined)} />
  );
}
