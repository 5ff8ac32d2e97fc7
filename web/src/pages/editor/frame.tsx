import type { ReactNode } from "react";
import { useEffect } from "react";

interface FrameProps {
  title: string;
  about: ReactNode;
  actions: ReactNode;
  notes?: ReactNode; // what there is to know before going on
  children: ReactNode;
}

// Frame is the page of an editor: it takes all the room there is.
export function Frame({ title, about, actions, notes, children }: FrameProps) {
  useEffect(() => {
    document.title = `${title} · GatheRing`;
  }, [title]);
  return (
    <div className="flex h-full flex-col">
      <header className="flex flex-wrap items-center gap-x-4 gap-y-1 border-b bg-card px-3 py-1.5">
        <div className="flex min-w-0 flex-1 items-baseline gap-2">
          <h1 className="truncate text-base font-semibold">{title}</h1>
          <div className="min-w-0 truncate text-xs text-soft">{about}</div>
        </div>
        <div className="flex flex-wrap items-center gap-1.5">{actions}</div>
      </header>
      {notes}
      {children}
    </div>
  );
}

// Note is a line above the editor, with what can be done about it.
export function Note({ children, actions }: { children: ReactNode; actions?: ReactNode }) {
  return (
    <div
      role="status"
      className="flex flex-wrap items-center gap-x-3 gap-y-1 border-b bg-wait-soft px-3 py-1.5 text-wait"
    >
      <span className="min-w-0 flex-1">{children}</span>
      {actions}
    </div>
  );
}
