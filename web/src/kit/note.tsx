import type { LucideIcon } from "lucide-react";
import type { ReactNode } from "react";
import { asProblem } from "@/api/problem";
import { Button, Spinner } from "./button";
import { cx } from "./class";

interface EmptyProps {
  icon?: LucideIcon;
  title: string;
  children?: ReactNode; // what to do about it
}

// Empty stands where nothing is yet, and says how something comes there.
export function Empty({ icon: Icon, title, children }: EmptyProps) {
  return (
    <div className="flex flex-col items-center gap-2 px-6 py-12 text-center">
      {Icon && <Icon aria-hidden size={28} className="text-soft" />}
      <p className="font-medium">{title}</p>
      {children && <div className="max-w-prose text-soft">{children}</div>}
    </div>
  );
}

interface FaultProps {
  error: unknown;
  retry?: (() => void) | undefined;
  className?: string;
}

// Fault tells an error: what happened, what is wrong where, and what to do.
export function Fault({ error, retry, className }: FaultProps) {
  const p = asProblem(error);
  const fields = p.details.errors ?? [];
  return (
    <div role="alert" className={cx("rounded-md border border-bad bg-bad-soft px-3 py-2 text-bad", className)}>
      <p className="font-medium">{p.message}</p>
      {fields.length > 0 && (
        <ul className="mt-1 list-disc pl-5">
          {fields.map((f) => (
            <li key={`${f.field} ${f.problem}`}>
              <code>{f.field}</code>: {f.problem}
            </li>
          ))}
        </ul>
      )}
      <div className="mt-1 flex items-center gap-3 text-xs">
        {p.details.request_id && p.status >= 500 && (
          <span>
            Request <code>{p.details.request_id}</code>: the service's log has the cause under it.
          </span>
        )}
        {retry && (
          <Button small onClick={retry}>
            Try again
          </Button>
        )}
      </div>
    </div>
  );
}

// Loading stands where something comes soon.
export function Loading({ what = "Loading" }: { what?: string }) {
  return (
    <div role="status" className="flex items-center justify-center gap-2 p-8 text-soft">
      <Spinner /> {what}…
    </div>
  );
}
