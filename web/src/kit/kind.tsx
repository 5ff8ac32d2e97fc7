import {
  Bot,
  Braces,
  GitFork,
  type LucideIcon,
  Merge,
  Play,
  Rows3,
  Send,
  ShieldCheck,
  Split,
  Square,
  Timer,
  UsersRound,
  Workflow,
  Wrench,
} from "lucide-react";

const icons: Record<string, LucideIcon> = {
  trigger: Play,
  agent: Bot,
  circle: UsersRound,
  condition: Split,
  action: Send,
  tool: Wrench,
  parallel: GitFork,
  map: Rows3,
  join: Merge,
  transform: Braces,
  pipeline: Workflow,
  delay: Timer,
  approval: ShieldCheck,
};

// KindIcon is the picture of a kind of node.
export function KindIcon({ kind, size = 16 }: { kind: string; size?: number }) {
  const Icon = icons[kind] ?? Square;
  return <Icon aria-hidden size={size} className="shrink-0" />;
}
