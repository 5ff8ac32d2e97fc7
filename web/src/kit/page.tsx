import { type ReactNode, useEffect } from "react";
import { cx } from "./class";

interface PageProps {
  title: string;
  about?: ReactNode;
  actions?: ReactNode;
  wide?: boolean; // it takes all the room there is, to the bottom
  children: ReactNode;
}

// Page is a page: its title, what can be done with all of it, and its content.
export function Page({ title, about, actions, wide, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · GatheRing`;
  }, [title]);
  return (
    <div className={cx("flex min-h-full flex-col gap-4 p-4 md:p-6", wide ? "h-full" : "mx-auto max-w-6xl")}>
      <header className="flex flex-wrap items-center gap-x-4 gap-y-2">
        <div className="min-w-0 grow basis-64">
          <h1 className="truncate text-lg font-semibold">{title}</h1>
          {about && <div className="text-soft">{about}</div>}
        </div>
        {actions && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
      </header>
      {children}
    </div>
  );
}

interface CardProps {
  title?: ReactNode;
  actions?: ReactNode;
  className?: string;
  flush?: boolean; // its content reaches its border, as a table does
  children: ReactNode;
}

export function Card({ title, actions, className, flush, children }: CardProps) {
  return (
    <section className={cx("rounded-lg border bg-card", className)}>
      {title && (
        <header className="flex items-center gap-2 border-b px-3 py-2">
          <h2 className="flex-1 font-medium">{title}</h2>
          {actions}
        </header>
      )}
      <div className={flush ? "relative overflow-x-auto" : "p-3"}>{children}</div>
    </section>
  );
}
