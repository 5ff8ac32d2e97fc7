import { Plus, Trash2 } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { Button, IconButton } from "@/kit/button";
import { Field } from "@/kit/field";
import { Expression } from "../code/expression";
import type { Path } from "../model/text";
import { nameOf, useField } from "./context";
import { same, typed, written } from "./values";

export interface InputProps {
  path: Path; // within the node
  label: string;
  hint?: ReactNode;
  value: unknown;
  keep?: boolean; // what is empty stays, since it must be there
}

// useTyped is the text of an input: as it was typed, until another value comes
// from elsewhere.
function useTyped(value: unknown, text: boolean): [string, (next: string) => unknown] {
  const [source, setSource] = useState(() => written(value, text));
  const last = useRef(value);
  useEffect(() => {
    if (same(last.current, value)) return;
    last.current = value;
    setSource(written(value, text));
  }, [value, text]);
  return [
    source,
    (next) => {
      setSource(next);
      last.current = next === "" ? undefined : typed(next, text);
      return last.current;
    },
  ];
}

interface TextProps extends InputProps {
  options?: readonly string[]; // to choose from, or to write another
  placeholder?: string;
  lines?: boolean;
}

// TextInput is for a text that is used as it is.
export function TextInput({ path, label, hint, value, keep, options, placeholder, lines }: TextProps) {
  const field = useField(path);
  const list = useId();
  const change = (next: string) => field.change(next === "" && !keep ? undefined : next);
  const text = typeof value === "string" ? value : written(value, true);
  return (
    <div data-field={nameOf(path)}>
      <Field label={label} hint={hint} problem={field.problem}>
        {(p) =>
          lines ? (
            <textarea
              {...p}
              className="input"
              rows={Math.min(8, Math.max(2, text.split("\n").length + Math.floor(text.length / 60)))}
              readOnly={field.fixed}
              value={text}
              onChange={(e) => change(e.target.value)}
            />
          ) : (
            <>
              <input
                {...p}
                className="input"
                readOnly={field.fixed}
                list={options ? list : undefined}
                placeholder={placeholder}
                value={text}
                onChange={(e) => change(e.target.value)}
              />
              {options && (
                <datalist id={list}>
                  {options.map((o) => (
                    <option key={o} value={o} />
                  ))}
                </datalist>
              )}
            </>
          )
        }
      </Field>
    </div>
  );
}

interface ChoiceProps extends InputProps {
  values: readonly (string | boolean)[];
  usual?: string; // what is meant where nothing is chosen
}

export function ChoiceInput({ path, label, hint, value, values, usual }: ChoiceProps) {
  const field = useField(path);
  const found = values.indexOf(value as string);
  return (
    <div data-field={nameOf(path)}>
      <Field label={label} hint={hint} problem={field.problem}>
        {(p) => (
          <select
            {...p}
            className="input"
            disabled={field.fixed}
            value={value === undefined ? "" : found < 0 ? "other" : found}
            onChange={(e) => field.change(e.target.value === "" ? undefined : values[Number(e.target.value)])}
          >
            <option value="">{usual ?? "Left out"}</option>
            {found < 0 && value !== undefined && <option value="other">{written(value, true)}</option>}
            {values.map((v, i) => (
              <option key={String(v)} value={i}>
                {String(v)}
              </option>
            ))}
          </select>
        )}
      </Field>
    </div>
  );
}

interface NumberProps extends InputProps {
  min?: number | undefined;
  max?: number | undefined;
  fractions?: boolean;
  words?: readonly string[]; // that may stand instead of a number
}

// NumberInput is for a number; what is none is written as it is, and told as a fault.
export function NumberInput({ path, label, hint, value, min, max, fractions, words }: NumberProps) {
  const field = useField(path);
  const [text, type] = useTyped(value, false);
  const list = useId();
  return (
    <div data-field={nameOf(path)}>
      <Field label={label} hint={hint} problem={field.problem}>
        {(p) => (
          <>
            <input
              {...p}
              className="input"
              inputMode={words ? "text" : fractions ? "decimal" : "numeric"}
              placeholder={min !== undefined && max !== undefined ? `${min} to ${max}` : undefined}
              readOnly={field.fixed}
              list={words ? list : undefined}
              value={text}
              onChange={(e) => field.change(type(e.target.value))}
            />
            {words && (
              <datalist id={list}>
                {words.map((w) => (
                  <option key={w} value={w} />
                ))}
              </datalist>
            )}
          </>
        )}
      </Field>
    </div>
  );
}

interface CodeProps extends InputProps {
  template: boolean;
  text?: boolean; // texts alone
  onRemove?: (() => void) | undefined;
}

// CodeInput is for an expression, or for a value with expressions in it.
export function CodeInput({ path, label, hint, value, keep, template, text = true, onRemove }: CodeProps) {
  const field = useField(path);
  const [source, type] = useTyped(value, text);
  const change = (next: string) => {
    const read = type(next);
    field.change(next === "" ? (keep ? "" : undefined) : read);
  };
  return (
    <div data-field={nameOf(path)} className="flex items-end gap-1">
      <div className="min-w-0 flex-1">
        <Field label={label} hint={hint} problem={field.problem}>
          {(p) => (
            <Expression
              id={p.id}
              describedBy={p["aria-describedby"]}
              invalid={p["aria-invalid"] === true}
              label={label}
              value={source}
              template={template}
              names={field.names}
              onChange={field.fixed ? undefined : change}
            />
          )}
        </Field>
      </div>
      {onRemove && !field.fixed && (
        <IconButton label={`Remove ${label}`} onClick={onRemove}>
          <Trash2 aria-hidden size={14} />
        </IconButton>
      )}
    </div>
  );
}

// ListInput is for a list of texts.
export function ListInput({ path, label, hint, value, options }: InputProps & { options?: readonly string[] }) {
  const field = useField(path);
  const list = useId();
  const items = Array.isArray(value) ? value.map((v) => written(v, true)) : [];
  const change = (next: string[]) => field.change(next.length === 0 ? undefined : next);
  return (
    <fieldset data-field={nameOf(path)} className="flex flex-col gap-1">
      <legend className="mb-1 text-xs font-medium text-soft">{label}</legend>
      {items.map((item, i) => (
        <div key={i} className="flex gap-1">
          <input
            className="input"
            aria-label={`${label} ${i + 1}`}
            list={options ? list : undefined}
            readOnly={field.fixed}
            value={item}
            onChange={(e) => change(items.with(i, e.target.value))}
          />
          {!field.fixed && (
            <IconButton label={`Remove ${item || `${label} ${i + 1}`}`} onClick={() => change(items.toSpliced(i, 1))}>
              <Trash2 aria-hidden size={14} />
            </IconButton>
          )}
        </div>
      ))}
      {options && (
        <datalist id={list}>
          {options
            .filter((o) => !items.includes(o))
            .map((o) => (
              <option key={o} value={o} />
            ))}
        </datalist>
      )}
      {!field.fixed && (
        <Button small className="self-start" onClick={() => change([...items, ""])}>
          <Plus aria-hidden size={13} /> Add
        </Button>
      )}
      {hint && <p className="text-xs text-soft">{hint}</p>}
      {field.problem && <p className="text-xs text-bad">{field.problem}</p>}
    </fieldset>
  );
}
