import { memo } from "react";
import { cx } from "@/kit/class";
import { plural } from "@/kit/format";
import { KindIcon } from "@/kit/kind";
import { lookOfState, State, type Tone } from "@/kit/state";
import { Lasted } from "./as-of";
import type { NodeFold } from "./fold";
import { countItems, type NodeDef } from "./graph";

const borders: Record<Tone, string> = {
  good: "border-good",
  busy: "border-busy",
  wait: "border-wait",
  bad: "border-bad",
  none: "border-line",
};

interface CardProps {
  def: NodeDef;
  node: NodeFold | undefined;
  selected: boolean;
}

// Card is a node in the graph.
export const Card = memo(function Card({ def, node, selected }: CardProps) {
  const state = node?.state ?? "pending";
  const idle = state === "pending" || state === "skipped";
  return (
    <span
      className={cx(
        "flex size-full flex-col justify-center gap-1 rounded-lg border bg-card px-2.5 text-left",
        borders[lookOfState(state).tone],
        idle && "border-dashed",
        selected && "ring-2 ring-accent",
      )}
    >
      <span className="flex items-center gap-1.5">
        <KindIcon kind={def.kind} />
        <span className="min-w-0 flex-1 truncate font-medium">{def.name || def.id}</span>
        {node && !idle && node.startedAt !== undefined && def.kind !== "trigger" && (
          <span className="text-xs whitespace-nowrap text-soft">
            <Lasted from={node.startedAt} to={node.endedAt} />
          </span>
        )}
      </span>
      <span className="flex items-center gap-1.5 overflow-hidden text-xs whitespace-nowrap text-soft">
        <State state={state} />
        {node && <Extra node={node} kind={def.kind} />}
      </span>
    </span>
  );
});

// Extra is what there is to know of a node beside its state, in a few words.
export function Extra({ node, kind }: { node: NodeFold; kind: string }) {
  const words: string[] = [];
  if (node.kept) words.push("kept");
  if (node.stopping) words.push("stopping");
  if (kind === "map" && node.state !== "skipped") {
    const { total, ended } = countItems(node);
    words.push(ended < total ? `${ended}/${total}` : plural(total, "item"));
  } else if (node.attempt > 1) words.push(`attempt ${node.attempt}`);
  if (node.branch !== undefined) words.push(node.branch);
  if (node.onError) words.push(node.onError === "continue" ? "passed over" : "error branch");
  return words.length > 0 ? <span className="truncate">{words.join(", ")}</span> : null;
}
