import { useVirtualizer } from "@tanstack/react-virtual";
import { History as HistoryIcon } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { IconButton } from "@/kit/button";
import { cx } from "@/kit/class";
import { CopyButton } from "@/kit/copy";
import { Field } from "@/kit/field";
import { clock, date, number, plural } from "@/kit/format";
import { Json } from "@/kit/json";
import { Empty } from "@/kit/note";
import { describe } from "./describe";
import { pathOf, type RunEvent } from "./events";
import type { History } from "./history";

const kinds = [
  { id: "", label: "All events" },
  { id: "run.", label: "Of the run" },
  { id: "node.", label: "Of nodes" },
  { id: "step.", label: "Of agents and tools" },
  { id: "bad", label: "What went wrong" },
];

const wrong = new Set([
  "node.failed",
  "node.retrying",
  "node.unknown",
  "node.abandoned",
  "run.failed",
  "run.timed_out",
  "run.budget_exhausted",
]);

interface LogProps {
  history: History;
  count: number; // of events that are shown
  goTo: (count: number | undefined) => void;
  select: (path: string) => void;
}

// Log is all that happened in a run, as it is written.
export function Log({ history, count, goTo, select }: LogProps) {
  const [wanted, setWanted] = useState("");
  const [kind, setKind] = useState("");
  const [opened, setOpened] = useState<ReadonlySet<number>>(new Set());
  const [atEnd, setAtEnd] = useState(true);
  const port = useRef<HTMLDivElement>(null);
  const events = useMemo(() => {
    const all = history.events.slice(0, count);
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
    return words.length === 0 && !kind ? all : all.filter((e) => fits(e, kind, words));
  }, [history, count, wanted, kind]);
  const rows = useVirtualizer({
    count: events.length,
    getScrollElement: () => port.current,
    estimateSize: () => 33,
    overscan: 15,
    getItemKey: (i) => events[i]?.seq ?? i,
  });
  useEffect(() => {
    if (atEnd && events.length > 0) rows.scrollToIndex(events.length - 1, { align: "end" });
  }, [atEnd, events.length, rows]);
  const toggle = (seq: number) =>
    setOpened((was) => {
      const now = new Set(was);
      if (!now.delete(seq)) now.add(seq);
      return now;
    });
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-2">
      <div className="flex flex-wrap items-center gap-2">
        <Field label="Find events" hidden>
          {(props) => (
            <input
              {...props}
              className="input !w-56"
              placeholder="Node, type or text"
              value={wanted}
              onChange={(e) => setWanted(e.target.value)}
            />
          )}
        </Field>
        <Field label="Kind of events" hidden>
          {(props) => (
            <select {...props} className="input" value={kind} onChange={(e) => setKind(e.target.value)}>
              {kinds.map((k) => (
                <option key={k.id} value={k.id}>
                  {k.label}
                </option>
              ))}
            </select>
          )}
        </Field>
        <label className="flex items-center gap-1.5">
          <input type="checkbox" checked={atEnd} onChange={(e) => setAtEnd(e.target.checked)} /> Keep to the end
        </label>
        <span role="status" className="flex-1 text-right text-xs text-soft">
          {events.length === count ? plural(count, "event") : `${number(events.length)} of ${plural(count, "event")}`}
        </span>
        <CopyButton text={() => JSON.stringify(events, null, 2)} label="Copy these events as JSON" />
      </div>
      {events.length === 0 ? (
        <Empty title="No such events" />
      ) : (
        <div
          ref={port}
          className="min-h-0 flex-1 overflow-auto rounded-lg border bg-card"
          onWheel={(e) => e.deltaY < 0 && setAtEnd(false)}
        >
          <ol className="relative" style={{ height: rows.getTotalSize() }}>
            {rows.getVirtualItems().map((row) => {
              const e = events[row.index];
              if (!e) return null;
              return (
                <li
                  key={row.key}
                  ref={rows.measureElement}
                  data-index={row.index}
                  className="absolute inset-x-0 border-b"
                  style={{ transform: `translateY(${row.start}px)` }}
                >
                  <Line event={e} open={opened.has(e.seq)} toggle={toggle} goTo={goTo} select={select} />
                </li>
              );
            })}
          </ol>
        </div>
      )}
    </div>
  );
}

function fits(e: RunEvent, kind: string, words: string[]): boolean {
  if (kind === "bad" ? !wrong.has(e.type) : !e.type.startsWith(kind)) return false;
  if (words.length === 0) return true;
  const text = `${e.seq} ${e.type} ${pathOf(e)} ${describe(e)}`.toLowerCase();
  return words.every((w) => text.includes(w));
}

interface LineProps {
  event: RunEvent;
  open: boolean;
  toggle: (seq: number) => void;
  goTo: (count: number | undefined) => void;
  select: (path: string) => void;
}

function Line({ event: e, open, toggle, goTo, select }: LineProps) {
  const path = pathOf(e);
  return (
    <>
      <div className="flex items-center gap-2 pr-1 text-xs">
        <button
          type="button"
          aria-expanded={open}
          onClick={() => toggle(e.seq)}
          className="flex min-w-0 flex-1 items-center gap-2 py-2 pl-3 text-left -outline-offset-2 hover:bg-sunken"
        >
          <span className="w-10 shrink-0 text-right font-mono text-soft">{e.seq}</span>
          <time dateTime={e.at} title={date(e.at)} className="shrink-0 font-mono text-soft max-sm:hidden">
            {clock(e.at)}
          </time>
          <span className={cx("shrink-0 font-medium", wrong.has(e.type) && "text-bad")}>{e.type}</span>
          {path && <code className="max-w-40 shrink-0 truncate">{path}</code>}
          <span className="min-w-0 flex-1 truncate text-soft">{describe(e)}</span>
        </button>
        <IconButton label={`As it was after event ${e.seq}`} className="!size-7" onClick={() => goTo(e.seq)}>
          <HistoryIcon aria-hidden size={13} />
        </IconButton>
      </div>
      {open && (
        <div className="flex flex-col gap-1 px-3 pb-2">
          {path && (
            <button type="button" className="link self-start text-xs" onClick={() => select(path)}>
              To node {path}
            </button>
          )}
          <Json value={e} label={`Event ${e.seq}`} open={3} />
        </div>
      )}
    </>
  );
}
