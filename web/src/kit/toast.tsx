import { X } from "lucide-react";
import { useSyncExternalStore } from "react";
import { asProblem } from "@/api/problem";
import { Button, IconButton } from "./button";
import { cx } from "./class";

interface Toast {
  id: number;
  text: string;
  bad: boolean;
  undo?: () => void;
}

let toasts: Toast[] = [];
let last = 0;
const watchers = new Set<() => void>();

function change(next: Toast[]): void {
  toasts = next;
  for (const w of watchers) w();
}

function drop(id: number): void {
  change(toasts.filter((t) => t.id !== id));
}

// tell tells that something was done, for a while; with undo it can be taken back.
export function tell(text: string, undo?: () => void): void {
  const id = ++last;
  change([...toasts.slice(-3), { id, text, bad: false, ...(undo && { undo }) }]);
  setTimeout(() => drop(id), undo ? 12_000 : 5_000);
}

// tellFault tells that something did not work, until somebody has read it.
export function tellFault(error: unknown): void {
  const p = asProblem(error);
  const more = p.details.errors?.map((e) => `${e.field} ${e.problem}`).join("; ");
  change([...toasts.slice(-3), { id: ++last, text: more ? `${p.message}: ${more}` : p.message, bad: true }]);
}

export function Toasts() {
  const shown = useSyncExternalStore(
    (changed) => {
      watchers.add(changed);
      return () => watchers.delete(changed);
    },
    () => toasts,
  );
  return (
    <section
      aria-label="Messages"
      aria-live="polite"
      className="fixed right-4 bottom-4 z-50 flex w-80 max-w-[calc(100vw-2rem)] flex-col gap-2"
    >
      {shown.map((t) => (
        <div
          key={t.id}
          className={cx(
            "flex items-center gap-2 rounded-md border bg-raised py-1.5 pr-1.5 pl-3 shadow-lg",
            t.bad && "border-bad text-bad",
          )}
        >
          <span className="flex-1 break-words">{t.text}</span>
          {t.undo && (
            <Button
              small
              onClick={() => {
                t.undo?.();
                drop(t.id);
              }}
            >
              Undo
            </Button>
          )}
          <IconButton label="Dismiss the message" onClick={() => drop(t.id)}>
            <X aria-hidden size={14} />
          </IconButton>
        </div>
      ))}
    </section>
  );
}
