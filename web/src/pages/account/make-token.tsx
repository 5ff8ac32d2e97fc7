import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, got, once } from "@/api/client";
import { useMe } from "@/api/me";
import { Field } from "@/kit/field";
import { FormDialog } from "@/kit/form";
import { choicesOf, covers, toggle } from "./scopes";
import type { Issued } from "./tokens";

const presets: { label: string; about: string; scopes: string[] | undefined }[] = [
  {
    label: "Run pipelines",
    about: "what gathering run --server needs",
    scopes: ["catalogue.read", "pipelines.read", "pipelines.write", "runs.read", "runs.start", "runs.write"],
  },
  { label: "Only look", about: "whatever you may read", scopes: ["*.read"] },
  { label: "Everything", about: "that you may do and that takes no session", scopes: ["*"] },
  { label: "Choose", about: "one by one", scopes: undefined },
];

const lives: { label: string; days: number }[] = [
  { label: "in 7 days", days: 7 },
  { label: "in 30 days", days: 30 },
  { label: "in 90 days", days: 90 },
  { label: "in a year", days: 365 },
  { label: "never", days: 0 },
];

const day = 86_400_000;

interface MakeTokenProps {
  onMade: (token: Issued) => void;
  onClose: () => void;
}

export function MakeToken({ onMade, onClose }: MakeTokenProps) {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [preset, setPreset] = useState(0);
  const [chosen, setChosen] = useState<string[]>([]);
  const [days, setDays] = useState(90);
  const act = async () => {
    const token = got(
      await api.POST("/api/v1/tokens", {
        params: { header: once() },
        body: {
          name,
          scopes: presets[preset]?.scopes ?? chosen,
          ...(days > 0 && { expires_at: new Date(Date.now() + days * day).toISOString() }),
        },
      }),
    );
    onMade(token);
    await queries.invalidateQueries({ queryKey: ["tokens"] });
  };
  return (
    <FormDialog
      title="Make an API token"
      about="No token can make users or tokens, change passwords or end sessions."
      verb="Make it"
      act={act}
      onClose={onClose}
    >
      {(problem) => (
        <>
          <Field label="What it is for" problem={problem?.field("name")}>
            {(props) => (
              <input
                {...props}
                className="input"
                autoComplete="off"
                required
                maxLength={200}
                placeholder="nightly import"
                value={name}
                onChange={(e) => setName(e.target.value)}
              />
            )}
          </Field>
          <fieldset className="flex flex-col gap-1">
            <legend className="mb-1 text-xs font-medium text-soft">What it may do</legend>
            {presets.map((p, i) => (
              <label key={p.label} className="flex items-baseline gap-2">
                <input
                  type="radio"
                  name="preset"
                  checked={preset === i}
                  onChange={() => setPreset(i)}
                  className="accent-accent"
                />
                <span>
                  <span className="font-medium">{p.label}</span> <span className="text-soft">{p.about}</span>
                  {p.scopes && (
                    <span className="flex flex-wrap gap-1">
                      {p.scopes.map((s) => (
                        <code key={s} className="rounded bg-sunken px-1 text-xs">
                          {s}
                        </code>
                      ))}
                    </span>
                  )}
                </span>
              </label>
            ))}
          </fieldset>
          {!presets[preset]?.scopes && <Scopes scopes={chosen} change={setChosen} />}
          <Field label="Expires" problem={problem?.field("expires_at")}>
            {(props) => (
              <select {...props} className="input" value={days} onChange={(e) => setDays(Number(e.target.value))}>
                {lives.map((l) => (
                  <option key={l.days} value={l.days}>
                    {l.label}
                  </option>
                ))}
              </select>
            )}
          </Field>
        </>
      )}
    </FormDialog>
  );
}

interface ScopesProps {
  scopes: string[];
  change: (scopes: string[]) => void;
}

// Scopes are chosen one by one. What a pattern holds already is shown as chosen.
function Scopes({ scopes, change }: ScopesProps) {
  const choices = choicesOf(useMe());
  return (
    <fieldset className="rounded-md border">
      <legend className="sr-only">Scopes</legend>
      <ul className="divide-y">
        {choices.map(([noun, actions]) => {
          const all = `${noun}.*`;
          return (
            <li key={noun} className="flex flex-wrap gap-x-4 gap-y-1 px-3 py-1.5">
              <Scope label={all} checked={scopes.includes(all)} change={() => change(toggle(scopes, all))} />
              {actions.map((action) => (
                <Scope
                  key={action}
                  label={action}
                  checked={covers(scopes, action)}
                  held={scopes.includes(all)}
                  change={() => change(toggle(scopes, action))}
                />
              ))}
            </li>
          );
        })}
      </ul>
    </fieldset>
  );
}

interface ScopeProps {
  label: string;
  checked: boolean;
  held?: boolean; // by a pattern, which has to go first
  change: () => void;
}

function Scope({ label, checked, held = false, change }: ScopeProps) {
  return (
    <label className="flex items-center gap-1.5">
      <input type="checkbox" checked={checked} disabled={held} onChange={change} className="accent-accent" />
      <code className="text-xs">{label}</code>
    </label>
  );
}
