import { api, got, once, type RunEvent, type Schemas } from "@/api/client";

export type Breaker = Schemas["Breaker"];

// Change is what is told of a breaker that was opened or closed.
export interface Change {
  id: string;
  at: string;
  open: boolean;
  reason: string;
  by: string; // "" for its calls
  failures: number;
  until: string | undefined; // undefined where it stays open until it is reset
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

// changesOf reads a breaker's events, the newest first.
export function changesOf(events: RunEvent[]): Change[] {
  return events
    .map((e) => {
      const data = (e.data ?? {}) as Record<string, unknown>;
      return {
        id: `${e.seq}`,
        at: e.at,
        open: e.type === "breaker.opened",
        reason: text(data.reason),
        by: text(data.by),
        failures: typeof data.failures === "number" ? data.failures : 0,
        until: text(data.until) || undefined,
      };
    })
    .reverse();
}

// How a breaker is switched by hand.
export const turn = {
  trip: async (name: string, body: Schemas["TripOrder"], header = once()): Promise<Breaker> =>
    got(await api.POST("/api/v1/breakers/{name}/trip", { params: { path: { name }, header }, body })),
  reset: async (name: string): Promise<Breaker> =>
    got(await api.POST("/api/v1/breakers/{name}/reset", { params: { path: { name }, header: once() } })),
};

// The longest that a page waits without a look, in milliseconds.
const longest = 3_600_000;

// nextChange is how long it is until one of the breakers becomes half open,
// which no event tells; false where none does by itself.
export function nextChange(breakers: Breaker[], now: number): number | false {
  const due = breakers
    .filter((b) => b.state === "open" && b.until)
    .map((b) => Date.parse(b.until as string) - now + 250);
  return due.length > 0 ? Math.min(longest, Math.max(1_000, Math.min(...due))) : false;
}
