import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Play } from "lucide-react";
import { useId, useRef, useState } from "react";
import { api, got, once, type Pipeline } from "@/api/client";
import { asProblem } from "@/api/problem";
import { Button } from "@/kit/button";
import { Dialog } from "@/kit/dialog";
import { Field } from "@/kit/field";
import { Fault, Loading } from "@/kit/note";
import { versionQuery } from "../data";
import { record, type Values } from "../model/model";
import { initial, lacking, shapeOf } from "./schema";
import { JsonField, SchemaField } from "./schema-form";

interface RunDialogProps {
  pipeline: Pipeline;
  number?: number; // of the version that is open in the editor
  changed?: boolean; // and there are changes that are not saved
  onClose: () => void;
}

// RunDialog asks for what a run begins with.
export default function RunDialog({ pipeline, number, changed, onClose }: RunDialogProps) {
  const [version, setVersion] = useState(number ?? pipeline.published);
  const stored = useQuery(versionQuery(pipeline.id, version));
  const choices = [...new Set([pipeline.published, number ?? pipeline.published])];
  return (
    <Dialog
      open
      onClose={onClose}
      title={`Run ${pipeline.name}`}
      about={changed ? "What runs is stored: your unsaved changes are not part of it." : undefined}
    >
      {choices.length > 1 && (
        <Field label="Version">
          {(p) => (
            <select {...p} className="input" value={version} onChange={(e) => setVersion(Number(e.target.value))}>
              {choices.map((n) => (
                <option key={n} value={n}>
                  {n} {n === pipeline.published ? "(published)" : "(open in the editor)"}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      {stored.data ? (
        <Start
          key={version}
          pipeline={pipeline}
          version={version}
          definition={record(stored.data.definition)}
          onClose={onClose}
        />
      ) : stored.error ? (
        <Fault error={stored.error} retry={() => void stored.refetch()} />
      ) : (
        <Loading />
      )}
    </Dialog>
  );
}

interface StartProps {
  pipeline: Pipeline;
  version: number;
  definition: Values;
  onClose: () => void;
}

function Start({ pipeline, version, definition, onClose }: StartProps) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const schema = definition.input_schema;
  const asked = shapeOf(schema) === "object";
  const [input, setInput] = useState<unknown>(() => (asked ? initial(schema) : undefined));
  const [vars, setVars] = useState<Values>({});
  const [priority, setPriority] = useState("");
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [tried, setTried] = useState(false);
  const missing = tried && asked ? lacking(schema, input, "input") : [];
  const problem = (path: string) =>
    missing.includes(path) ? "This is needed." : error === undefined ? undefined : asProblem(error).field(path);
  const sent = useRef<{ body: string; header: ReturnType<typeof once> }>(undefined);
  const form = useId();

  const start = async () => {
    setTried(true);
    if (asked && lacking(schema, input, "input").length > 0) return;
    const body = {
      version,
      ...(input !== undefined && { input }),
      ...(Object.keys(vars).length > 0 && { vars }),
      ...(priority !== "" && { priority: Number(priority) }),
      ...(key !== "" && { key }),
    };
    // Asked for again after a broken connection, the same run is started once.
    const same = JSON.stringify(body);
    if (sent.current?.body !== same) sent.current = { body: same, header: once() };
    setBusy(true);
    try {
      const run = got(
        await api.POST("/api/v1/pipelines/{id}/runs", {
          params: { path: { id: pipeline.id }, header: sent.current.header },
          body,
        }),
      );
      void queries.invalidateQueries({ queryKey: ["runs"] });
      onClose();
      await navigate({ to: "/runs/$id", params: { id: run.id } });
    } catch (e) {
      sent.current = asProblem(e).passing ? sent.current : undefined;
      setError(e);
      setBusy(false);
    }
  };
  const declared = Object.entries(record(definition.vars));
  return (
    <form
      id={form}
      className="flex flex-col gap-3"
      onSubmit={(e) => {
        e.preventDefault();
        if (!busy) void start();
      }}
    >
      {asked ? (
        <SchemaField
          schema={{ ...record(schema), title: undefined }}
          label=""
          path="input"
          value={input}
          required
          onChange={setInput}
          problem={problem}
        />
      ) : (
        <JsonField
          label="Input, as JSON"
          hint={schema === undefined ? "This pipeline takes any input, or none." : "Its shape is too free for a form."}
          value={input}
          onChange={setInput}
          problem={problem("input")}
        />
      )}
      <details className="rounded-md border">
        <summary className="px-3 py-2 text-xs font-medium text-soft">More: variables, priority, key</summary>
        <div className="flex flex-col gap-3 border-t p-3">
          {declared.map(([name, value]) => (
            <VarField
              key={name}
              name={name}
              usual={value}
              problem={problem(`vars.${name}`)}
              onChange={(v) => {
                const { [name]: _, ...rest } = vars;
                setVars(v === undefined ? rest : { ...rest, [name]: v });
              }}
            />
          ))}
          <Field label="Priority" hint="Of runs that are due, those with the higher number begin first.">
            {(p) => (
              <input
                {...p}
                type="number"
                step={1}
                className="input"
                placeholder="0"
                value={priority}
                onChange={(e) => setPriority(e.target.value)}
              />
            )}
          </Field>
          <Field label="Key" hint="Only one run of the project at a time has a key." problem={problem("key")}>
            {(p) => (
              <input {...p} className="input" maxLength={200} value={key} onChange={(e) => setKey(e.target.value)} />
            )}
          </Field>
        </div>
      </details>
      {error !== undefined && <Fault error={error} />}
      <footer className="flex justify-end gap-2">
        <Button onClick={onClose}>Cancel</Button>
        <Button look="main" type="submit" busy={busy}>
          <Play aria-hidden size={14} /> Run
        </Button>
      </footer>
    </form>
  );
}

interface VarFieldProps {
  name: string;
  usual: unknown;
  problem: string | undefined;
  onChange: (value: unknown) => void;
}

// VarField overrides a variable: what is JSON is taken as such, else as text.
function VarField({ name, usual, problem, onChange }: VarFieldProps) {
  const [text, setText] = useState("");
  return (
    <Field label={`vars.${name}`} problem={problem}>
      {(p) => (
        <input
          {...p}
          className="input"
          placeholder={typeof usual === "string" ? usual : JSON.stringify(usual)}
          value={text}
          onChange={(e) => {
            setText(e.target.value);
            onChange(e.target.value === "" ? undefined : given(e.target.value, usual));
          }}
        />
      )}
    </Field>
  );
}

function given(text: string, usual: unknown): unknown {
  if (typeof usual === "string") return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
