import { Check, ChevronDown, TriangleAlert } from "lucide-react";
import { useState } from "react";
import { Spinner } from "@/kit/button";
import { cx } from "@/kit/class";
import { plural } from "@/kit/format";
import type { Checking } from "./check";
import type { Broken } from "./model/text";
import type { Fault } from "./state";

interface FaultsProps {
  faults: Fault[];
  broken: Broken | undefined;
  checking: Checking;
  readOnly: boolean;
  onGo: (fault: Fault) => void;
}

// Faults are what the service finds wrong, each with the way to it.
export function Faults({ faults, broken, checking, readOnly, onGo }: FaultsProps) {
  const [open, setOpen] = useState(true);
  if (readOnly) return null;
  const wrong = faults.length > 0;
  return (
    <section aria-label="Faults" className="shrink-0 border-t bg-card">
      <div role="status" className="flex items-center gap-2 px-3 py-1 text-xs">
        {wrong ? (
          <button
            type="button"
            aria-expanded={open}
            onClick={() => setOpen(!open)}
            className="flex items-center gap-1.5 font-medium text-bad"
          >
            <TriangleAlert aria-hidden size={14} />
            {plural(faults.length, "fault")}
            <ChevronDown aria-hidden size={14} className={cx(!open && "-rotate-90")} />
          </button>
        ) : (
          checking === "checked" &&
          !broken && (
            <span className="flex items-center gap-1.5 text-good">
              <Check aria-hidden size={14} /> No faults
            </span>
          )
        )}
        {checking === "checking" && (
          <span className="flex items-center gap-1.5 text-soft">
            <Spinner /> Checking
          </span>
        )}
        {checking === "unreachable" && (
          <span className="text-wait">It cannot be checked now; this goes on by itself.</span>
        )}
      </div>
      {wrong && open && (
        <ul className="max-h-36 overflow-y-auto border-t py-1">
          {faults.map((f) => (
            <li key={`${f.path} ${f.problem}`}>
              <button
                type="button"
                onClick={() => onGo(f)}
                className="flex w-full gap-2 px-3 py-1 text-left text-xs hover:bg-sunken"
              >
                <span className="w-14 shrink-0 text-soft">line {f.line}</span>
                <span className="min-w-0">
                  <code className="break-all">{f.path}</code> <span className="text-bad">{f.problem}</span>
                </span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
