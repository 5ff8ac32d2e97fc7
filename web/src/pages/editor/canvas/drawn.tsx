import { type Node as FlowNode, Handle, type NodeProps, Position } from "@xyflow/react";
import { TriangleAlert } from "lucide-react";
import { memo } from "react";
import { cx } from "@/kit/class";
import { plural } from "@/kit/format";
import { heightOf, wayAt, width } from "../model/layout";
import type { Node } from "../model/model";
import { aboutNode, iconOf } from "./kinds";

export type DrawnNode = FlowNode<{ node: Node; ways: string[]; faults: string[]; fixed: boolean }, "node">;

// handleOf is the ID of the handle of a branch: React Flow knows no empty ones.
export const handleOf = (branch: string): string => `way:${branch}`;
export const branchOf = (handle: string | null | undefined): string => handle?.slice(4) ?? "";

export const wayName = (branch: string): string => (branch === "" ? "done" : branch);

const dot = "!size-3 !border-2 !border-card !bg-strong-line hover:!bg-accent";

// Drawn is a node on the canvas.
export const Drawn = memo(function Drawn({ data, selected }: NodeProps<DrawnNode>) {
  const { node, ways, faults, fixed } = data;
  const Icon = iconOf(node.kind);
  const about = aboutNode(node);
  return (
    <div
      style={{ width, height: heightOf(ways.length) }}
      className={cx(
        "rounded-lg border bg-card text-left shadow-sm",
        faults.length > 0 ? "border-bad" : selected ? "border-accent" : "border-strong-line",
        selected && "ring-2 ring-accent",
      )}
      title={faults.join("\n") || undefined}
    >
      {node.kind !== "trigger" && (
        <Handle type="target" position={Position.Left} style={{ top: 29 }} isConnectable={!fixed} className={dot} />
      )}
      <div className="flex h-[58px] items-center gap-2 px-3">
        <span className="flex size-8 shrink-0 items-center justify-center rounded-md bg-accent-soft text-accent-deep">
          <Icon aria-hidden size={16} />
        </span>
        <span className="min-w-0 flex-1">
          <span className="block truncate font-medium">{node.name || node.id}</span>
          <span className="block truncate text-xs text-soft">{about || node.kind || "no kind"}</span>
        </span>
        {faults.length > 0 && (
          <span className="flex items-center text-bad">
            <TriangleAlert aria-hidden size={15} />
            <span className="sr-only">{plural(faults.length, "fault")}</span>
          </span>
        )}
      </div>
      {ways.map((way, i) => (
        <div key={way}>
          {ways.length > 1 && (
            <span
              style={{ top: wayAt(ways.length, i) - 9 }}
              className={cx("absolute right-3 max-w-40 truncate text-xs", way === "error" ? "text-bad" : "text-soft")}
            >
              {wayName(way)}
            </span>
          )}
          <Handle
            type="source"
            position={Position.Right}
            id={handleOf(way)}
            style={{ top: wayAt(ways.length, i) }}
            isConnectable={!fixed}
            className={cx(dot, way === "error" && "!bg-bad")}
          />
        </div>
      ))}
    </div>
  );
});
