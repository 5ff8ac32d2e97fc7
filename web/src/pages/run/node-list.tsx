import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef, useState } from "react";
import { cx } from "@/kit/class";
import { Field } from "@/kit/field";
import { KindIcon } from "@/kit/kind";
import { Empty } from "@/kit/note";
import { lookOfState, State } from "@/kit/state";
import { Lasted } from "./as-of";
import type { Graph } from "./graph";
import { Extra } from "./node-card";
import type { View } from "./nodes";

// NodeList is a pipeline's nodes, each after those that lead to it.
export function NodeList({ run, graph, selected, select }: View & { graph: Graph }) {
  const [wanted, setWanted] = useState("");
  const port = useRef<HTMLDivElement>(null);
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const nodes = graph.nodes.filter((n) => {
    const text =
      `${n.id} ${n.name} ${n.kind} ${lookOfState(run.nodes.get(n.id)?.state ?? "pending").words}`.toLowerCase();
    return words.every((w) => text.includes(w));
  });
  const rows = useVirtualizer({
    count: nodes.length,
    getScrollElement: () => port.current,
    estimateSize: () => 44,
    overscan: 10,
  });
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-2">
      <Field label="Find nodes" hidden>
        {(props) => (
          <input
            {...props}
            className="input max-w-xs"
            placeholder="Name, kind or state"
            value={wanted}
            onChange={(e) => setWanted(e.target.value)}
          />
        )}
      </Field>
      {nodes.length === 0 && <Empty title="No such nodes" />}
      <div ref={port} className="min-h-0 overflow-y-auto rounded-lg border bg-card">
        <ul aria-label="Nodes" className="relative" style={{ height: rows.getTotalSize() }}>
          {rows.getVirtualItems().map((row) => {
            const def = nodes[row.index];
            if (!def) return null;
            const node = run.nodes.get(def.id);
            return (
              <li
                key={def.id}
                className="absolute inset-x-0 border-b"
                style={{ height: row.size, transform: `translateY(${row.start}px)` }}
              >
                <button
                  type="button"
                  aria-pressed={selected === def.id}
                  onClick={() => select(def.id)}
                  className={cx(
                    "flex h-full w-full items-center gap-2 px-3 text-left -outline-offset-2 hover:bg-sunken",
                    selected === def.id && "bg-accent-soft",
                  )}
                >
                  <KindIcon kind={def.kind} />
                  <span className="min-w-0 flex-1 truncate">
                    {def.name || def.id} <span className="text-xs text-soft">{def.kind}</span>
                  </span>
                  <span className="text-xs text-soft">
                    {node && !node.skipped && node.startedAt !== undefined && (
                      <Lasted from={node.startedAt} to={node.endedAt} />
                    )}{" "}
                    <span className="max-sm:hidden">{node && <Extra node={node} kind={def.kind} />}</span>
                  </span>
                  <State state={node?.state ?? "pending"} />
                </button>
              </li>
            );
          })}
        </ul>
      </div>
    </div>
  );
}
