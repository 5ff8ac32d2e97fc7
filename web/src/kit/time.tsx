import { useSyncExternalStore } from "react";
import { ago, date, span } from "./format";

// One clock for all that tells how long ago something was.
let now = Date.now();
const watchers = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(changed: () => void): () => void {
  watchers.add(changed);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const w of watchers) w();
  }, 1_000);
  return () => {
    watchers.delete(changed);
    if (watchers.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

// useNow is the time, every second.
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

// Ago is a time as how long ago it was; pointing at it tells the date.
export function Ago({ at }: { at: string | undefined | null }) {
  const at0 = useNow();
  if (!at) return <span className="text-soft">–</span>;
  return (
    <time dateTime={at} title={date(at)} className="whitespace-nowrap">
      {ago(at, Math.max(at0, new Date(at).getTime() - 1))}
    </time>
  );
}

// Took is how long something took, or takes so far.
export function Took({ from, to }: { from: string | undefined | null; to?: string | undefined | null }) {
  if (!from) return "–";
  return to ? span(Date.parse(to) - Date.parse(from)) : <Ticking from={from} />;
}

function Ticking({ from }: { from: string }) {
  return span(useNow() - Date.parse(from));
}
