import { useMemo, useSyncExternalStore } from "react";
import type { Problem } from "@/api/problem";
import { follow, type Link, type Told } from "@/api/stream";
import type { RunEvent } from "./events";
import type { RunFold } from "./fold";
import { History } from "./history";
import { hear, type Writings } from "./writing";

// Watched is what is known of a run by now. Another one is made whenever more is.
export interface Watched {
  history: History;
  count: number; // of its events
  now: RunFold;
  writings: Writings;
  link: Link;
  problem: Problem | undefined;
}

const blank = (): Watched => {
  const history = new History();
  return { history, count: 0, now: history.now, writings: new Map(), link: "open", problem: undefined };
};

// Watch follows the log of a run while somebody looks. What comes is taken in
// once per frame, however much it is.
class Watch {
  private state = blank();
  private heard: Told[] = [];
  private frame: (() => void) | undefined;
  private stop: (() => void) | undefined;
  private readonly watchers = new Set<() => void>();

  constructor(
    private readonly id: string,
    private readonly deltas: boolean,
  ) {}

  readonly subscribe = (changed: () => void): (() => void) => {
    this.watchers.add(changed);
    if (this.watchers.size === 1) this.start();
    return () => {
      this.watchers.delete(changed);
      if (this.watchers.size > 0) return;
      this.stop?.();
      this.frame?.();
      this.frame = undefined;
    };
  };

  readonly snapshot = (): Watched => this.state;

  private start(): void {
    this.takeIn(); // what came before it was left
    this.stop = follow({
      path: `/runs/${encodeURIComponent(this.id)}/events${this.deltas ? "" : "?deltas=false"}`,
      after: this.state.now.seq > 0 ? String(this.state.now.seq) : "",
      tell: (told) => {
        this.heard.push(...told);
        this.frame ??= nextFrame(() => {
          this.frame = undefined;
          this.takeIn();
        });
      },
      link: (link, problem) => this.become({ ...this.state, link, problem }),
    });
  }

  private takeIn(): void {
    const told = this.heard;
    if (told.length === 0) return;
    this.heard = [];
    let { history, writings } = this.state;
    let events: RunEvent[] = [];
    for (const t of told) {
      if (t.type === "snapshot") {
        history = new History();
        events = [];
        writings = new Map();
      }
      if (t.id) events.push(t.data as RunEvent);
    }
    history.add(events);
    writings = hear(writings, told);
    this.become({ ...this.state, history, count: history.events.length, now: history.now, writings });
  }

  private become(state: Watched): void {
    this.state = state;
    for (const w of this.watchers) w();
  }
}

// nextFrame calls back before the next picture is drawn, or where none is, soon.
function nextFrame(then: () => void): () => void {
  if (document.visibilityState === "hidden") {
    const timer = setTimeout(then, 1_000);
    return () => clearTimeout(timer);
  }
  const frame = requestAnimationFrame(then);
  return () => cancelAnimationFrame(frame);
}

// useWatch is what is known of a run, live.
export function useWatch(id: string, deltas = true): Watched {
  const watch = useMemo(() => new Watch(id, deltas), [id, deltas]);
  return useSyncExternalStore(watch.subscribe, watch.snapshot);
}
