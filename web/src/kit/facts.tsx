import type { ReactNode } from "react";

// Facts are what is known of one thing, by name. What is not there is left out.
export function Facts({ of }: { of: [name: string, value: ReactNode][] }) {
  return (
    <dl className="grid gap-x-4 sm:gap-y-2 sm:grid-cols-[max-content_1fr]">
      {of
        .filter(([, value]) => value || value === 0)
        .map(([name, value]) => (
          <div key={name} className="contents">
            <dt className="text-soft">{name}</dt>
            <dd className="min-w-0 break-words max-sm:mb-2">{value}</dd>
          </div>
        ))}
    </dl>
  );
}
