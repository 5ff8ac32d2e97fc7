import type { QueryClient, QueryKey } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import { follow, type Link, type Told } from "./stream";

// Every query's key begins with a noun. An event of that noun has it asked for
// again, soon, and not more often than the reader's share of requests bears.
const nouns: Record<string, string[]> = {
  run: ["runs", "overview", "dead-letters"],
  "node.unknown": ["overview"],
  "node.decided": ["overview"],
  pipeline: ["pipelines"],
  project: ["projects"],
  member: ["projects", "members", "me"],
  user: ["users", "me"],
  token: ["tokens"],
  provider: ["providers", "models"],
  settings: ["settings"],
  breaker: ["breakers", "overview"],
  auth: ["sessions"],
};

// Of what happens within runs, of which there is much, only what is shown of all of them is listened to.
const types = Object.keys(nouns).map((noun) => (noun.includes(".") ? noun : `${noun}.*`));

const soonest = 3_000; // between two times that a key is asked for again

let link: Link = "open";
const watchers = new Set<() => void>();

function become(next: Link): void {
  link = next;
  for (const w of watchers) w();
}

// useLink is whether the page hears of what happens.
export function useLink(): Link {
  return useSyncExternalStore(
    (changed) => {
      watchers.add(changed);
      return () => watchers.delete(changed);
    },
    () => link,
  );
}

// live has what is shown follow what happens, until stop is called.
export function live(queries: QueryClient): () => void {
  const due = new Map<string, ReturnType<typeof setTimeout>>();
  const asked = new Map<string, number>();
  const refetch = (key: string) => {
    if (due.has(key)) return;
    const wait = Math.max(150, (asked.get(key) ?? 0) + soonest - Date.now());
    due.set(
      key,
      setTimeout(() => {
        due.delete(key);
        asked.set(key, Date.now());
        void queries.invalidateQueries({ queryKey: [key] as QueryKey });
      }, wait),
    );
  };
  const tell = (events: Told[]) => {
    for (const e of events) {
      if (e.type === "snapshot") void queries.invalidateQueries();
      for (const key of nouns[e.type] ?? nouns[e.type.split(".")[0] ?? ""] ?? []) refetch(key);
    }
  };
  let lost = false;
  let begun: ReturnType<typeof setTimeout> | undefined;
  const stop = follow({
    path: `/events?type=${types.join(",")}`,
    tell,
    link: (state) => {
      if (state === "open" && lost) void queries.invalidateQueries();
      // What was read before the stream was there may be older than where it begins.
      if (state === "open") begun ??= setTimeout(() => void queries.invalidateQueries(), soonest);
      lost = state !== "open";
      become(state);
    },
  });
  return () => {
    stop();
    clearTimeout(begun);
    for (const timer of due.values()) clearTimeout(timer);
  };
}
