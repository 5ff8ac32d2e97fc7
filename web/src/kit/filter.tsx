import { useId, useState } from "react";
import { Field } from "./field";

interface FilterProps {
  label: string;
  value: string | undefined;
  onChange: (value: string | undefined) => void;
  suggest: string[]; // what it may be; anything else may be typed
}

// Filter takes what the things of a list are to have, once it is typed whole.
export function Filter({ label, value = "", onChange, suggest }: FilterProps) {
  const [text, setText] = useState(value);
  const [given, setGiven] = useState(value);
  const list = useId();
  if (given !== value) {
    setGiven(value);
    setText(value);
  }
  const settle = (to: string) => {
    if (to !== value) onChange(to || undefined);
  };
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        settle(text.trim());
      }}
    >
      <Field label={label} hidden>
        {(props) => (
          <input
            {...props}
            type="search"
            list={list}
            className="input !w-40"
            placeholder={label}
            autoComplete="off"
            spellCheck={false}
            value={text}
            onBlur={() => settle(text.trim())}
            onChange={(e) => {
              setText(e.target.value);
              if (e.target.value === "" || suggest.includes(e.target.value)) settle(e.target.value);
            }}
          />
        )}
      </Field>
      <datalist id={list}>
        {suggest.map((s) => (
          <option key={s} value={s} />
        ))}
      </datalist>
    </form>
  );
}
