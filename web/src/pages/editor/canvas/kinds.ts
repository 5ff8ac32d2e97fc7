import {
  Bot,
  Braces,
  GitBranch,
  GitFork,
  GitMerge,
  type LucideIcon,
  Play,
  Repeat,
  Timer,
  Workflow,
  Wrench,
  Zap,
} from "lucide-react";
import { type Node, record, type Values } from "../model/model";

const icons: Record<string, LucideIcon> = {
  trigger: Play,
  parallel: GitFork,
  agent: Bot,
  action: Zap,
  condition: GitBranch,
  delay: Timer,
  join: GitMerge,
  map: Repeat,
  pipeline: Workflow,
  tool: Wrench,
  transform: Braces,
};

export const iconOf = (kind: string): LucideIcon => icons[kind] ?? Zap;

const first = (...values: unknown[]): string => {
  for (const value of values) if (typeof value === "string" && value !== "") return value;
  return "";
};

// aboutNode is what a node does, in a line.
export function aboutNode(node: Node): string {
  const b = node.body;
  switch (node.kind) {
    case "agent":
      return first(b.agent, b.model);
    case "tool":
      return first(b.tool);
    case "action":
      return first(b.action).replaceAll("_", " ");
    case "condition":
      return first(b.when, b.switch);
    case "delay":
      return b.for !== undefined ? `for ${String(b.for)}` : first(b.until);
    case "join":
      return `wait for ${String(b.wait ?? "all")}`;
    case "map":
      return [first(record(b.do).tool, record(b.do).agent, record(b.do).kind), first(b.over)]
        .filter(Boolean)
        .join(" for ");
    case "pipeline":
      return first(b.pipeline);
    case "transform":
      return Object.keys(record(b.set)).join(", ");
    default:
      return "";
  }
}

// starts are the fields that a new node of a kind begins with.
const starts: Record<string, Values> = {
  agent: { model: "offline/extract", task: "" },
  action: { action: "call_api", with: {} },
  condition: { when: "true" },
  delay: { for: "10s" },
  map: { over: "[]", do: { kind: "transform", set: { item: "${{ item }}" } } },
  pipeline: { pipeline: "" },
  tool: { tool: "" },
  transform: { set: {} },
};

export const newBody = (kind: string): Values => ({ kind, ...structuredClone(starts[kind] ?? {}) });
