import { type ReactNode, useId } from "react";

interface FieldProps {
  label: string;
  hint?: ReactNode;
  problem?: string | undefined; // what is wrong with what was given
  hidden?: boolean; // the label is for who cannot see alone
  children: (props: { id: string; "aria-invalid"?: true; "aria-describedby"?: string }) => ReactNode;
}

// Field is an input with its label, and what is wrong with it.
export function Field({ label, hint, problem, hidden, children }: FieldProps) {
  const id = useId();
  const about = [hint && `${id}-hint`, problem && `${id}-problem`].filter(Boolean).join(" ");
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={id} className={hidden ? "sr-only" : "text-xs font-medium text-soft"}>
        {label}
      </label>
      {children({ id, ...(problem && { "aria-invalid": true as const }), ...(about && { "aria-describedby": about }) })}
      {hint && (
        <p id={`${id}-hint`} className="text-xs text-soft">
          {hint}
        </p>
      )}
      {problem && (
        <p id={`${id}-problem`} role="alert" className="text-xs text-bad">
          {problem}
        </p>
      )}
    </div>
  );
}
