import { useMemo, useState } from "react";
import { number } from "@/kit/format";
import { cut } from "@/kit/value";

// Prose is a text that somebody or a model wrote, cut where it is long.
export function Prose({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  const beginning = useMemo(() => cut(text), [text]);
  const long = beginning.length < text.length;
  return (
    <div className="rounded-md bg-sunken px-2 py-1.5">
      <p className="break-words whitespace-pre-wrap">
        {all ? text : beginning}
        {long && !all && "…"}
      </p>
      {long && (
        <button type="button" className="link text-xs" onClick={() => setAll(!all)}>
          {all ? "Show less" : `Show all ${number(text.length)} characters`}
        </button>
      )}
    </div>
  );
}
