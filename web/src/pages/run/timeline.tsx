import { useVirtualizer } from "@tanstack/react-virtual";
import { ChevronRight, ZoomIn, ZoomOut } from "lucide-react";
import { useMemo, useRef, useState } from "react";
import { IconButton } from "@/kit/button";
import { cx } from "@/kit/class";
import { clock, span } from "@/kit/format";
import { KindIcon } from "@/kit/kind";
import { Empty, Loading } from "@/kit/note";
import { ended, lookOfState, State, type Tone } from "@/kit/state";
import { useAsOf } from "./as-of";
import type { Span } from "./fold";
import type { View } from "./nodes";
import { type Row, rowsOf, ticks } from "./rows";

const bars: Record<Tone, string> = {
  good: "bg-good",
  busy: "bg-busy",
  wait: "border border-dashed border-wait bg-wait-soft",
  bad: "bg-bad",
  none: "bg-strong-line",
};

// Timeline is when the nodes ran and waited, as bars and as a table.
export function Timeline({ run, graph, selected, select }: View) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const [zoom, setZoom] = useState(1);
  const port = useRef<HTMLDivElement>(null);
  const over = ended.includes(run.state);
  const now = useAsOf();
  const rows = useMemo(() => (graph ? rowsOf(run, graph, open) : []), [run, graph, open]);
  const drawn = useVirtualizer({
    count: rows.length,
    getScrollElement: () => port.current,
    estimateSize: () => 36,
    overscan: 12,
    getItemKey: (i) => rows[i]?.path ?? i,
  });
  if (!graph) return <Loading what="Reading the pipeline" />;
  if (rows.length === 0) return <Empty title="Nothing has begun yet" />;
  const from = run.startedAt ?? run.queuedAt ?? 0;
  const to = run.endedAt ?? (over ? run.at : Math.max(now, run.at));
  const length = Math.max(to - from, 1);
  const items = drawn.getVirtualItems();
  const before = items[0]?.start ?? 0;
  const after = drawn.getTotalSize() - (items.at(-1)?.end ?? 0);
  const lane = { width: zoom === 1 ? "100%" : `${40 * zoom}rem`, minWidth: "16rem" };
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-2">
      <div className="flex items-center gap-1 text-xs text-soft">
        <span className="flex-1">
          {clock(from)} to {over ? clock(to) : "now"}, {span(length)}
        </span>
        <IconButton label="Show more at once" disabled={zoom <= 1} onClick={() => setZoom(zoom / 2)}>
          <ZoomOut aria-hidden size={15} />
        </IconButton>
        <IconButton label="Look closer" disabled={zoom >= 64} onClick={() => setZoom(zoom * 2)}>
          <ZoomIn aria-hidden size={15} />
        </IconButton>
      </div>
      <div ref={port} className="min-h-0 overflow-auto rounded-lg border bg-card">
        <table
          className="w-full border-separate border-spacing-0 text-left"
          aria-label="When the nodes ran"
          aria-rowcount={rows.length}
        >
          <thead>
            <tr className="text-xs text-soft">
              <th scope="col" className="sticky top-0 left-0 z-20 border-r border-b bg-card px-3 py-1.5 font-medium">
                Node
              </th>
              <th scope="col" className="sticky top-0 z-10 border-b bg-card px-2 font-medium max-sm:hidden">
                State
              </th>
              <th scope="col" className="sticky top-0 z-10 border-r border-b bg-card px-2 text-right font-medium">
                Took
              </th>
              <th scope="col" className="sticky top-0 z-10 w-full border-b bg-card p-0 font-medium">
                <span className="sr-only">When</span>
                <span aria-hidden className="relative block h-6 overflow-hidden" style={lane}>
                  {ticks(length, zoom === 1 ? 4 : 8 * zoom).map((t) => (
                    <span
                      key={t}
                      className="absolute top-1 border-l pl-1 whitespace-nowrap"
                      style={{ left: percent(t, length) }}
                    >
                      {t === 0 ? "0" : span(t)}
                    </span>
                  ))}
                </span>
              </th>
            </tr>
          </thead>
          <tbody>
            {before > 0 && <Gap height={before} />}
            {items.map((d) => {
              const row = rows[d.index];
              if (!row) return null;
              return (
                <Line
                  key={row.path}
                  row={row}
                  index={d.index}
                  selected={selected === row.path}
                  select={select}
                  spread={open.has(row.path)}
                  toggle={() =>
                    setOpen((was) => {
                      const next = new Set(was);
                      if (!next.delete(row.path)) next.add(row.path);
                      return next;
                    })
                  }
                  from={from}
                  to={to}
                  lane={lane}
                />
              );
            })}
            {after > 0 && <Gap height={after} />}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function percent(part: number, whole: number): string {
  return `${(100 * part) / whole}%`;
}

function Gap({ height }: { height: number }) {
  return (
    <tr aria-hidden>
      <td colSpan={4} style={{ height }} />
    </tr>
  );
}

interface LineProps {
  row: Row;
  index: number;
  selected: boolean;
  select: (path: string) => void;
  spread: boolean;
  toggle: () => void;
  from: number;
  to: number;
  lane: { width: string; minWidth: string };
}

function Line({ row, index, selected, select, spread, toggle, from, to, lane }: LineProps) {
  const { node } = row;
  const length = Math.max(to - from, 1);
  const began = node.startedAt ?? from;
  const cell = cx("border-b", selected ? "bg-accent-soft" : "bg-card");
  return (
    <tr aria-rowindex={index + 1} style={{ height: 36 }}>
      <th scope="row" className={cx(cell, "sticky left-0 z-10 border-r px-2 font-normal")}>
        <span className="flex w-32 items-center gap-1 sm:w-44" style={{ paddingLeft: row.depth * 16 }}>
          {node.items && row.depth === 0 ? (
            <button
              type="button"
              aria-expanded={spread}
              aria-label={`Items of ${row.name}`}
              className="rounded p-0.5 hover:bg-sunken"
              onClick={toggle}
            >
              <ChevronRight aria-hidden size={13} className={spread ? "rotate-90" : ""} />
            </button>
          ) : (
            <span className="w-4 shrink-0" />
          )}
          {row.kind && <KindIcon kind={row.kind} size={14} />}
          <button type="button" className="min-w-0 truncate rounded hover:underline" onClick={() => select(row.path)}>
            {row.name}
          </button>
        </span>
      </th>
      <td className={cx(cell, "px-2 max-sm:hidden")}>
        <State state={node.state} />
      </td>
      <td className={cx(cell, "border-r px-2 text-right text-xs whitespace-nowrap text-soft")}>
        {span((node.endedAt ?? to) - began)}
      </td>
      <td className={cx(cell, "p-0")}>
        <span className="sr-only">
          {row.spans
            .map((s) => `${lookOfState(s.state).words} from ${clock(s.from)} for ${span((s.to ?? to) - s.from)}`)
            .join(", ")}
        </span>
        <span aria-hidden className="relative block h-5" style={lane}>
          {row.spans.map((s) => (
            <Bar
              key={`${s.from} ${s.state} ${s.attempt}`}
              span={s}
              last={s === row.spans.at(-1)}
              end={node.state}
              from={from}
              to={to}
              length={length}
            />
          ))}
        </span>
      </td>
    </tr>
  );
}

interface BarProps {
  span: Span;
  last: boolean;
  end: string; // the state of the node
  from: number;
  to: number;
  length: number;
}

// A bar has the colour of its state, or of how the node ended if that ended it.
function Bar({ span: s, last, end, from, to, length }: BarProps) {
  const shown = last && s.to !== undefined && s.state === "running" ? end : s.state;
  const until = s.to ?? to;
  return (
    <span
      title={`${lookOfState(s.state).words}${s.attempt > 1 ? `, attempt ${s.attempt}` : ""}: ${clock(s.from)}, ${span(until - s.from)}`}
      className={cx("absolute top-0.5 h-4 min-w-0.5 rounded-sm", bars[lookOfState(shown).tone])}
      style={{ left: percent(s.from - from, length), width: percent(until - s.from, length) }}
    />
  );
}
