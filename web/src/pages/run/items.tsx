import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef, useState } from "react";
import { number } from "@/kit/format";
import { State } from "@/kit/state";
import { Lasted } from "./as-of";
import { brief, failureText } from "./describe";
import type { NodeFold } from "./fold";
import { countItems } from "./graph";

const filters = [
  { id: "", label: "All" },
  { id: "open", label: "Under way or undecided" },
  { id: "bad", label: "Not completed well" },
];

// Items are those of a map.
export function Items({ node, select }: { node: NodeFold; select: (path: string) => void }) {
  const [filter, setFilter] = useState("");
  const port = useRef<HTMLDivElement>(null);
  const inputs = Array.isArray(node.input) ? node.input : [];
  const { total, ended, busy, unknown, failed, stopped } = countItems(node);
  const indexes = Array.from({ length: total }, (_, i) => i).filter((i) => shown(node.items?.[i]?.state, filter));
  const rows = useVirtualizer({
    count: indexes.length,
    getScrollElement: () => port.current,
    estimateSize: () => 40,
    overscan: 8,
  });
  const parts = [
    `${number(ended)} of ${number(total)} ended`,
    busy > 0 && `${number(busy)} under way`,
    unknown > 0 && `${number(unknown)} undecided`,
    failed > 0 && `${number(failed)} failed`,
    stopped > 0 && `${number(stopped)} stopped`,
  ].filter(Boolean);
  return (
    <section aria-label="Items">
      <div className="mb-1 flex items-center gap-2 text-xs text-soft">
        <span className="flex-1">{parts.join(", ")}</span>
        <select
          aria-label="Which items"
          className="input !w-auto !py-0.5"
          value={filter}
          onChange={(e) => setFilter(e.target.value)}
        >
          {filters.map((f) => (
            <option key={f.id} value={f.id}>
              {f.label}
            </option>
          ))}
        </select>
      </div>
      <div ref={port} className="max-h-64 overflow-y-auto rounded-md border">
        <ul className="relative" style={{ height: rows.getTotalSize() }}>
          {rows.getVirtualItems().map((row) => {
            const index = indexes[row.index] ?? 0;
            const item = node.items?.[index];
            return (
              <li
                key={index}
                className="absolute inset-x-0 border-b"
                style={{ height: row.size, transform: `translateY(${row.start}px)` }}
              >
                <button
                  type="button"
                  className="flex h-full w-full items-center gap-2 px-2 text-left -outline-offset-2 hover:bg-sunken"
                  onClick={() => select(`${node.path}[${index}]`)}
                >
                  <span className="w-9 text-right font-mono text-xs">{index}</span>
                  <span className="min-w-0 flex-1 truncate text-xs text-soft">
                    {failureText(item?.failure) || brief(inputs[index])}
                  </span>
                  {item?.startedAt !== undefined && (
                    <span className="text-xs text-soft">
                      <Lasted from={item.startedAt} to={item.endedAt} />
                    </span>
                  )}
                  <State state={item?.state ?? "pending"} />
                </button>
              </li>
            );
          })}
        </ul>
      </div>
    </section>
  );
}

function shown(state: string | undefined, filter: string): boolean {
  if (filter === "open") return ["running", "waiting", "retrying", "unknown"].includes(state ?? "");
  if (filter === "bad")
    return state !== undefined && !["pending", "running", "waiting", "retrying", "completed"].includes(state);
  return true;
}
