import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { api, once, type Schemas } from "@/api/client";
import { asProblem, type Problem } from "@/api/problem";
import { Button } from "@/kit/button";
import { Dialog } from "@/kit/dialog";
import { Field } from "@/kit/field";
import { Fault } from "@/kit/note";
import { tell } from "@/kit/toast";
import { changeOf, type KeyChoice, orphaned, type Provider } from "./change";

type Format = NonNullable<Schemas["NewProvider"]["format"]>;

const formats: { format: Format | ""; label: string }[] = [
  { format: "", label: "as the name says, or else OpenAI's" },
  { format: "openai", label: "OpenAI" },
  { format: "anthropic", label: "Anthropic" },
  { format: "google", label: "Google" },
  { format: "compatible", label: "a server that speaks OpenAI's" },
];

interface FormProps {
  provider: Provider | undefined; // undefined makes a new one
  onClose: () => void;
}

// Form stores a provider of models, or changes one.
export function Form({ provider, onClose }: FormProps) {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [format, setFormat] = useState<Format | "">("");
  const [address, setAddress] = useState(provider?.base_url ?? "");
  const [choice, setChoice] = useState<KeyChoice>(provider?.has_key ? "keep" : "replace");
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const header = useRef(once()); // a second try after a lost answer is the same

  const wanted = { address, choice: provider && !provider.has_key && !key ? ("keep" as const) : choice, key };
  const lost = provider && orphaned(provider, wanted);
  const send = async () => {
    if (provider) {
      await api.PATCH("/api/v1/providers/{id}", {
        params: { path: { id: provider.id }, header: { "If-Match": `"${provider.revision}"`, ...header.current } },
        body: changeOf(provider, wanted),
      });
      return;
    }
    await api.POST("/api/v1/providers", {
      params: { header: header.current },
      body: {
        name: name.trim(),
        ...(format && { format }),
        ...(address.trim() && { base_url: address.trim() }),
        ...(key.trim() && { key: key.trim() }),
      },
    });
  };
  const go = async (e: FormEvent) => {
    e.preventDefault();
    if (busy || lost) return;
    if (provider && Object.keys(changeOf(provider, wanted)).length === 0) return onClose();
    setBusy(true);
    setProblem(undefined);
    try {
      await send();
      tell(provider ? `${provider.name} is changed.` : `${name.trim()} is stored.`);
      onClose();
    } catch (e) {
      setProblem(asProblem(e));
      if (!asProblem(e).passing) header.current = once();
    } finally {
      setBusy(false);
      for (const noun of ["providers", "models"]) void queries.invalidateQueries({ queryKey: [noun] });
    }
  };
  const told = ["name", "format", "base_url", "key"].some((f) => problem?.field(f));
  return (
    <Dialog
      open
      onClose={onClose}
      title={provider ? `Change ${provider.name}` : "Store a provider"}
      about="It takes the place of a provider of its name that the service was started with."
    >
      <form onSubmit={(e) => void go(e)} className="flex flex-col gap-3">
        {!provider && (
          <>
            <Field
              label="Name"
              hint="The part of a model's name before the slash, as openai. Well-known ones need a key alone."
              problem={problem?.field("name")}
            >
              {(props) => (
                <input
                  {...props}
                  className="input font-mono"
                  required
                  maxLength={63}
                  spellCheck={false}
                  autoCapitalize="off"
                  value={name}
                  onChange={(e) => setName(e.target.value)}
                />
              )}
            </Field>
            <Field label="How it is spoken to" problem={problem?.field("format")}>
              {(props) => (
                <select
                  {...props}
                  className="input"
                  value={format}
                  onChange={(e) => setFormat(e.target.value as Format | "")}
                >
                  {formats.map((f) => (
                    <option key={f.format} value={f.format}>
                      {f.label}
                    </option>
                  ))}
                </select>
              )}
            </Field>
          </>
        )}
        <Field
          label="Address"
          hint={
            provider ? undefined : "As https://host/v1. Left empty, that of the provider that is known by the name."
          }
          problem={problem?.field("base_url")}
        >
          {(props) => (
            <input
              {...props}
              type="url"
              className="input font-mono"
              maxLength={2000}
              required={provider !== undefined}
              value={address}
              onChange={(e) => setAddress(e.target.value)}
            />
          )}
        </Field>
        {provider?.has_key && (
          <Field
            label="Its key"
            problem={
              lost
                ? "A key goes to the address that it was given for alone: give it again, or take it away."
                : undefined
            }
          >
            {(props) => (
              <select
                {...props}
                className="input"
                value={choice}
                onChange={(e) => setChoice(e.target.value as KeyChoice)}
              >
                <option value="keep">stays as it is</option>
                <option value="replace">is another</option>
                <option value="remove">is taken away</option>
              </select>
            )}
          </Field>
        )}
        {choice === "replace" && (
          <Field
            label="Key"
            hint="It is encrypted when it is stored, and never shown again."
            problem={problem?.field("key")}
          >
            {(props) => (
              <input
                {...props}
                type="password"
                className="input font-mono"
                autoComplete="off"
                maxLength={4000}
                required={provider?.has_key ?? false}
                value={key}
                onChange={(e) => setKey(e.target.value)}
              />
            )}
          </Field>
        )}
        {problem && !told && <Fault error={problem} />}
        <footer className="flex justify-end gap-2">
          <Button onClick={onClose}>Leave it</Button>
          <Button type="submit" look="main" busy={busy}>
            {provider ? "Change it" : "Store it"}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}
