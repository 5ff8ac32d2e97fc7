import { Plus, Trash2 } from "lucide-react";
import { lazy, Suspense, useEffect, useState } from "react";
import { Button, IconButton } from "@/kit/button";
import { Field } from "@/kit/field";
import { Loading } from "@/kit/note";
import { record } from "../model/model";
import { initial, requiredOf, shapeOf } from "./schema";

const JsonText = lazy(() => import("../code/json"));

interface SchemaFieldProps {
  schema: unknown;
  label: string;
  path: string; // as the service names it
  value: unknown; // undefined is left out
  required: boolean;
  onChange: (value: unknown) => void;
  problem: (path: string) => string | undefined;
}

// SchemaField asks for a value that a JSON Schema describes.
export function SchemaField(props: SchemaFieldProps) {
  const { schema, label, path, value, required, onChange, problem } = props;
  const s = record(schema);
  const title = `${typeof s.title === "string" ? s.title : label}${required ? " *" : ""}`;
  const hint = typeof s.description === "string" ? s.description : undefined;
  const common = { label: title, ...(hint && { hint }), problem: problem(path) };
  switch (shapeOf(s)) {
    case "object":
      return <ObjectField {...props} title={title} hint={hint} />;
    case "array":
      return <ArrayField {...props} title={title} hint={hint} />;
    case "enum": {
      const values = s.enum as unknown[];
      return (
        <Field {...common}>
          {(p) => (
            <select
              {...p}
              className="input"
              value={value === undefined ? "" : String(values.indexOf(value))}
              onChange={(e) => onChange(e.target.value === "" ? undefined : values[Number(e.target.value)])}
            >
              <option value="">{required ? "Choose" : "Left out"}</option>
              {values.map((v, i) => (
                <option key={String(v)} value={i}>
                  {String(v)}
                </option>
              ))}
            </select>
          )}
        </Field>
      );
    }
    case "boolean":
      return (
        <Field {...common}>
          {(p) => (
            <select
              {...p}
              className="input"
              value={value === undefined ? "" : String(value)}
              onChange={(e) => onChange(e.target.value === "" ? undefined : e.target.value === "true")}
            >
              {!required && <option value="">Left out</option>}
              <option value="true">true</option>
              <option value="false">false</option>
            </select>
          )}
        </Field>
      );
    case "integer":
    case "number":
      return <NumberField {...common} value={value} whole={s.type === "integer"} onChange={onChange} />;
    case "string":
      return (
        <Field {...common}>
          {(p) => (
            <textarea
              {...p}
              className="input"
              rows={typeof value === "string" && (value.length > 60 || value.includes("\n")) ? 5 : 1}
              value={typeof value === "string" ? value : ""}
              onChange={(e) => onChange(e.target.value === "" && !required ? undefined : e.target.value)}
            />
          )}
        </Field>
      );
    default:
      return <JsonField {...common} value={value} onChange={onChange} />;
  }
}

function ObjectField({ schema, value, path, onChange, problem, title, hint, label }: SchemaFieldProps & Titled) {
  const s = record(schema);
  const required = requiredOf(s);
  const fields = Object.entries(record(s.properties)).map(([name, inner]) => (
    <SchemaField
      key={name}
      schema={inner}
      label={name}
      path={`${path}.${name}`}
      required={required.includes(name)}
      value={record(value)[name]}
      problem={problem}
      onChange={(v) => {
        const { [name]: _, ...rest } = record(value);
        onChange(v === undefined ? rest : { ...rest, [name]: v });
      }}
    />
  ));
  if (label === "") return <div className="flex flex-col gap-3">{fields}</div>;
  return (
    <fieldset className="flex flex-col gap-3 rounded-md border p-3">
      <legend className="px-1 text-xs font-medium text-soft">{title}</legend>
      {hint && <p className="text-xs text-soft">{hint}</p>}
      {fields}
    </fieldset>
  );
}

interface Titled {
  title: string;
  hint: string | undefined;
}

function ArrayField({ schema, value, path, onChange, problem, title, hint, label }: SchemaFieldProps & Titled) {
  const { items } = record(schema);
  const list = Array.isArray(value) ? value : [];
  return (
    <fieldset className="flex flex-col gap-2 rounded-md border p-3">
      <legend className="px-1 text-xs font-medium text-soft">{title}</legend>
      {hint && <p className="text-xs text-soft">{hint}</p>}
      {problem(path) && <p className="text-xs text-bad">{problem(path)}</p>}
      {list.map((item, i) => (
        <div key={i} className="flex items-end gap-2">
          <div className="min-w-0 flex-1">
            <SchemaField
              schema={items}
              label={`${label} ${i + 1}`}
              path={`${path}[${i}]`}
              required
              value={item}
              problem={problem}
              onChange={(v) => onChange(list.with(i, v))}
            />
          </div>
          <IconButton label={`Remove item ${i + 1}`} onClick={() => onChange(list.toSpliced(i, 1))}>
            <Trash2 aria-hidden size={14} />
          </IconButton>
        </div>
      ))}
      <Button small className="self-start" onClick={() => onChange([...list, initial(items) ?? undefined])}>
        <Plus aria-hidden size={13} /> Add an item
      </Button>
    </fieldset>
  );
}

interface InputProps {
  label: string;
  hint?: string;
  problem: string | undefined;
  value: unknown;
  onChange: (value: unknown) => void;
}

function NumberField({ value, whole, onChange, ...field }: InputProps & { whole: boolean }) {
  return (
    <Field {...field}>
      {(p) => (
        <input
          {...p}
          type="number"
          step={whole ? 1 : "any"}
          className="input"
          value={typeof value === "number" ? value : ""}
          onChange={(e) => onChange(e.target.value === "" ? undefined : e.target.valueAsNumber)}
        />
      )}
    </Field>
  );
}

// JsonField asks for a value as JSON; nothing is left out.
export function JsonField({ value, onChange, problem, ...field }: InputProps) {
  const [text, setText] = useState(() => (value === undefined ? "" : JSON.stringify(value, null, 2)));
  const [bad, setBad] = useState(false);
  useEffect(() => {
    if (value === undefined) setText((old) => (old.trim() === "" || bad ? old : ""));
  }, [value, bad]);
  const typed = (next: string) => {
    setText(next);
    try {
      onChange(next.trim() === "" ? undefined : JSON.parse(next));
      setBad(false);
    } catch {
      setBad(true);
    }
  };
  return (
    <Field {...field} problem={bad ? "This is not JSON yet." : problem}>
      {(p) => (
        <Suspense fallback={<Loading />}>
          <JsonText value={text} onChange={typed} id={p.id} describedBy={p["aria-describedby"]} label={field.label} />
        </Suspense>
      )}
    </Field>
  );
}
