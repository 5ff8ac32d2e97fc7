import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { Field } from "@/kit/field";
import { Loading } from "@/kit/note";
import { nameOf, useField } from "./context";
import type { InputProps } from "./inputs";
import { format, parse, same } from "./values";

const JsonText = lazy(() => import("../code/json"));

const json = (value: unknown): string => (value === undefined ? "" : format(value, 2));

// JsonInput is for a value that is used as it is. What is no JSON yet is not
// written into the definition.
export function JsonInput({ path, label, hint, value }: InputProps) {
  const field = useField(path);
  const [text, setText] = useState(() => json(value));
  const [bad, setBad] = useState(false);
  const last = useRef(value);
  useEffect(() => {
    if (same(last.current, value)) return;
    last.current = value;
    setText(json(value));
    setBad(false);
  }, [value]);
  const change = (next: string) => {
    setText(next);
    try {
      last.current = next.trim() === "" ? undefined : parse(next);
      setBad(false);
    } catch {
      setBad(true);
      return;
    }
    field.change(last.current);
  };
  return (
    <div data-field={nameOf(path)}>
      <Field label={label} hint={hint} problem={bad ? "This is not JSON yet." : field.problem}>
        {(p) =>
          field.fixed ? (
            <textarea {...p} readOnly className="input font-mono text-xs" rows={4} value={text} />
          ) : (
            <Suspense fallback={<Loading />}>
              <JsonText value={text} onChange={change} id={p.id} describedBy={p["aria-describedby"]} label={label} />
            </Suspense>
          )
        }
      </Field>
    </div>
  );
}
