import { ChevronRight } from "lucide-react";
import { useMemo, useState } from "react";
import { cx } from "./class";
import { CopyButton } from "./copy";
import { number } from "./format";
import { cut, membersOf, preview } from "./value";

interface JsonProps {
  value: unknown; // undefined is shown as null
  label: string; // what the value is, for who cannot see where it stands
  open?: number; // how deep it is open at first
  className?: string;
}

// Json shows a JSON value as a tree of which one opens what one wants to see.
export function Json({ value, label, open = 2, className }: JsonProps) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: it is no group of inputs
    <div role="group" aria-label={label} className={cx("relative rounded-md border bg-sunken", className)}>
      <CopyButton
        text={() => (typeof value === "string" ? value : JSON.stringify(value ?? null, null, 2))}
        label={`Copy: ${label}`}
        className="absolute top-0.5 right-0.5 !size-7 bg-sunken"
      />
      <div className="p-2 pr-9 font-mono text-xs leading-5">
        <Value value={value} open={open} />
      </div>
    </div>
  );
}

interface ValueProps {
  name?: string | number;
  value: unknown;
  open: number;
}

// The most members that are shown before one asks for more.
const many = 100;

function Value({ name, value, open }: ValueProps) {
  const members = useMemo(() => membersOf(value), [value]);
  const few = (members?.length ?? 0) <= 20;
  const [shown, setShown] = useState(open > 1 || (open > 0 && few));
  const [count, setCount] = useState(many);
  if (!members || members.length === 0) {
    return (
      <div className={cx("break-words", name !== undefined && "pl-4")}>
        <Name name={name} />
        <Leaf value={value} bare={name === undefined} />
      </div>
    );
  }
  const more = members.length - count;
  return (
    <div>
      <button
        type="button"
        aria-expanded={shown}
        onClick={() => setShown(!shown)}
        className="flex max-w-full items-center rounded text-left hover:bg-card"
      >
        <ChevronRight aria-hidden size={12} className={cx("mr-1 shrink-0", shown && "rotate-90")} />
        <span className="min-w-0 truncate">
          <Name name={name} />
          <span className="text-soft">{preview(value)}</span>
        </span>
      </button>
      {shown && (
        <ul className="ml-1.5 border-l pl-2">
          {members.slice(0, count).map(([key, member]) => (
            <li key={key}>
              <Value name={key} value={member} open={open - 1} />
            </li>
          ))}
          {more > 0 && (
            <li className="pl-4">
              <button type="button" className="link" onClick={() => setCount(count + 10 * many)}>
                Show {number(Math.min(more, 10 * many))} more of {number(members.length)}
              </button>
            </li>
          )}
        </ul>
      )}
    </div>
  );
}

function Name({ name }: { name: string | number | undefined }) {
  if (name === undefined) return null;
  return (
    <>
      <span className={typeof name === "number" ? "text-soft" : "font-semibold"}>{name}</span>
      <span className="text-soft">: </span>
    </>
  );
}

// A text that is all of the value is shown as such, one within it in quotes.
function Leaf({ value, bare }: { value: unknown; bare: boolean }) {
  if (typeof value === "string") return <Text text={value} quoted={!bare || value === ""} />;
  if (typeof value === "number" || typeof value === "boolean") {
    return <span className="text-busy">{String(value)}</span>;
  }
  return <span className="text-soft">{Array.isArray(value) ? "[]" : value ? "{}" : "null"}</span>;
}

function Text({ text, quoted }: { text: string; quoted: boolean }) {
  const [all, setAll] = useState(false);
  const beginning = useMemo(() => cut(text), [text]);
  const long = beginning.length < text.length;
  const quote = quoted && <span className="text-soft">"</span>;
  return (
    <>
      {quote}
      <span className={cx("break-words whitespace-pre-wrap", quoted && "text-good")}>{all ? text : beginning}</span>
      {long && !all ? "…" : quote}
      {long && (
        <button type="button" className="link ml-2" onClick={() => setAll(!all)}>
          {all ? "Show less" : `Show all ${number(text.length)} characters`}
        </button>
      )}
    </>
  );
}
