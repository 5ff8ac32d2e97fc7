import { type EventSourceMessage, EventSourceParserStream } from "eventsource-parser/stream";
import { base } from "./base";
import { asProblem, Problem, problemOf } from "./problem";
import { send } from "./session";

// Told is one event of a stream. Its ID is "" where nobody can come back to it.
export interface Told {
  id: string;
  type: string;
  data: unknown;
}

export type Link = "open" | "lost" | "over";

interface Options {
  path: string; // below /api/v1
  after?: string; // the ID of the last event that is known
  tell: (events: Told[]) => void;
  link?: (state: Link, why?: Problem) => void;
}

// How long nothing may come before a stream is given up, in milliseconds: the
// service says every 15 s that it is there.
const silence = 45_000;
// How long is waited before it is come back to: longer each time, unless it has
// been there for a while.
const quickest = 500;
const slowest = 30_000;

// follow reads a stream, and comes back to it wherever it breaks off, without a
// gap, until stop is called or the service says that there is nothing more.
export function follow(o: Options): () => void {
  const stop = new AbortController();
  void keep(o, stop.signal);
  return () => stop.abort();
}

async function keep(o: Options, signal: AbortSignal): Promise<void> {
  let last = o.after ?? "";
  let pause = quickest;
  while (!signal.aborted) {
    let wait = 0;
    const begun = Date.now();
    try {
      const over = await read(o, last, signal, (id) => {
        last = id;
      });
      if (over) {
        o.link?.("over");
        return;
      }
      o.link?.("lost");
    } catch (e) {
      if (signal.aborted) return;
      const problem = asProblem(e);
      const passing = problem.passing || problem.status >= 500;
      o.link?.(passing ? "lost" : "over", problem);
      if (!passing) return;
      wait = problem.retryAfter;
    }
    if (Date.now() - begun > slowest) pause = quickest;
    await sleep(Math.max(wait, pause * (0.75 + Math.random() / 2)), signal);
    pause = Math.min(pause * 2, slowest);
  }
}

// sleep ends early when the network comes back or somebody looks again.
function sleep(time: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      document.removeEventListener("visibilitychange", seen);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const seen = () => {
      if (document.visibilityState === "visible") done();
    };
    const timer = setTimeout(done, time);
    addEventListener("online", done);
    document.addEventListener("visibilitychange", seen);
    signal.addEventListener("abort", done);
  });
}

async function read(o: Options, after: string, signal: AbortSignal, heard: (id: string) => void): Promise<boolean> {
  const cut = new AbortController();
  const both = AbortSignal.any([signal, cut.signal]);
  let quiet = setTimeout(() => cut.abort(), silence);
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (after) headers["Last-Event-ID"] = after;
  try {
    const answer = await send(new Request(`${base}/api/v1${o.path}`, { headers, signal: both, cache: "no-store" }));
    if (answer.status === 204) return true;
    if (!answer.ok) throw await problemOf(answer);
    if (!answer.body) throw new Problem(0, {});
    o.link?.("open");
    const alive = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        clearTimeout(quiet);
        quiet = setTimeout(() => cut.abort(), silence);
        controller.enqueue(chunk);
      },
    });
    const events = answer.body
      .pipeThrough(alive)
      .pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>)
      .pipeThrough(new EventSourceParserStream());
    return await tellAll(events.getReader(), o.tell, heard);
  } catch (e) {
    if (signal.aborted || !cut.signal.aborted) throw e;
    throw new Problem(0, {});
  } finally {
    clearTimeout(quiet);
    cut.abort();
  }
}

// tellAll tells events in bunches: as many as come before the next frame.
async function tellAll(
  reader: ReadableStreamDefaultReader<EventSourceMessage>,
  tell: (events: Told[]) => void,
  heard: (id: string) => void,
): Promise<boolean> {
  let bunch: Told[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  const flush = () => {
    timer = undefined;
    if (bunch.length === 0) return;
    const events = bunch;
    bunch = [];
    tell(events);
  };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return ended;
      if (value.event === "bye") {
        ended = String(value.data).includes("the run has ended");
        continue;
      }
      if (value.id) heard(value.id);
      bunch.push({ id: value.id ?? "", type: value.event ?? "message", data: JSON.parse(value.data) });
      timer ??= setTimeout(flush, 16);
    }
  } finally {
    clearTimeout(timer);
    flush();
  }
}
