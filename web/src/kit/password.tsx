import { Dices, Eye, EyeOff } from "lucide-react";
import { useState } from "react";
import { IconButton } from "./button";
import { CopyButton } from "./copy";
import { Field } from "./field";
import { secret } from "./secret";

interface PasswordProps {
  label: string;
  value: string;
  change: (value: string) => void;
  hint?: string;
  problem?: string | undefined;
  required?: boolean;
}

// NewPassword is where a password is thought of, or made up here and copied.
export function NewPassword({ label, value, change, hint, problem, required }: PasswordProps) {
  const [shown, setShown] = useState(false);
  return (
    <Field label={label} hint={hint ?? "At least 12 characters, and none that many people have."} problem={problem}>
      {(props) => (
        <div className="flex items-center gap-1">
          <input
            {...props}
            className="input font-mono"
            type={shown ? "text" : "password"}
            autoComplete="new-password"
            spellCheck={false}
            required={required}
            minLength={12}
            maxLength={256}
            value={value}
            onChange={(e) => change(e.target.value)}
          />
          <IconButton label={shown ? "Hide the password" : "Show the password"} onClick={() => setShown(!shown)}>
            {shown ? <EyeOff aria-hidden size={16} /> : <Eye aria-hidden size={16} />}
          </IconButton>
          <IconButton
            label="Make one up"
            onClick={() => {
              change(secret());
              setShown(true);
            }}
          >
            <Dices aria-hidden size={16} />
          </IconButton>
          <CopyButton text={() => value} label="Copy the password" />
        </div>
      )}
    </Field>
  );
}
