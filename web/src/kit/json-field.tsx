import { Field } from "./field";

// parse reads JSON that somebody typed, or says what is wrong with it.
export function parse(text: string): { value?: unknown; problem?: string } {
  if (text.trim() === "") return { value: null };
  try {
    return { value: JSON.parse(text) };
  } catch (e) {
    return { problem: `It is no JSON: ${e instanceof Error ? e.message : String(e)}` };
  }
}

interface JsonFieldProps {
  label: string;
  value: string;
  onChange: (text: string) => void;
  hint?: string;
  problem?: string | undefined; // what the service has against it
  rows?: number;
}

// JsonField takes a JSON value as text.
export function JsonField({ label, value, onChange, hint, problem, rows = 8 }: JsonFieldProps) {
  return (
    <Field label={label} hint={hint} problem={parse(value).problem ?? problem}>
      {(props) => (
        <textarea
          {...props}
          className="input font-mono text-xs"
          rows={rows}
          spellCheck={false}
          autoCapitalize="off"
          autoCorrect="off"
          value={value}
          onChange={(e) => onChange(e.target.value)}
        />
      )}
    </Field>
  );
}
