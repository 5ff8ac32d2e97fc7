import {
  Ban,
  Check,
  CircleDashed,
  CirclePause,
  CircleQuestionMark,
  CircleSlash,
  Clock,
  Hourglass,
  LoaderCircle,
  type LucideIcon,
  RotateCcw,
  TriangleAlert,
  X,
} from "lucide-react";
import { cx } from "./class";

export type Tone = "good" | "busy" | "wait" | "bad" | "none";

interface Look {
  tone: Tone;
  icon: LucideIcon;
  words: string;
}

// What every state of a run or a node looks like: never by its colour alone.
const looks: Record<string, Look> = {
  queued: { tone: "none", icon: Clock, words: "queued" },
  pending: { tone: "none", icon: CircleDashed, words: "pending" },
  running: { tone: "busy", icon: LoaderCircle, words: "running" },
  recovering: { tone: "busy", icon: RotateCcw, words: "recovering" },
  waiting: { tone: "wait", icon: Hourglass, words: "waiting" },
  retrying: { tone: "wait", icon: RotateCcw, words: "retrying" },
  paused: { tone: "wait", icon: CirclePause, words: "paused" },
  cancelling: { tone: "wait", icon: Ban, words: "cancelling" },
  completed: { tone: "good", icon: Check, words: "completed" },
  failed: { tone: "bad", icon: X, words: "failed" },
  timed_out: { tone: "bad", icon: Clock, words: "timed out" },
  budget_exhausted: { tone: "bad", icon: TriangleAlert, words: "over budget" },
  unknown: { tone: "bad", icon: CircleQuestionMark, words: "unknown outcome" },
  abandoned: { tone: "bad", icon: TriangleAlert, words: "abandoned" },
  cancelled: { tone: "none", icon: Ban, words: "cancelled" },
  skipped: { tone: "none", icon: CircleSlash, words: "skipped" },
};

export const tones: Record<Tone, string> = {
  good: "text-good bg-good-soft",
  busy: "text-busy bg-busy-soft",
  wait: "text-wait bg-wait-soft",
  bad: "text-bad bg-bad-soft",
  none: "text-soft bg-sunken",
};

export function lookOfState(state: string): Look {
  return looks[state] ?? { tone: "none", icon: CircleDashed, words: state };
}

// ended are the states of runs that have ended.
export const ended = ["completed", "failed", "cancelled", "timed_out", "budget_exhausted"];

export function State({ state, className }: { state: string; className?: string }) {
  const { tone, icon: Icon, words } = lookOfState(state);
  return (
    <Badge tone={tone} className={className}>
      <Icon aria-hidden size={13} className={state === "running" ? "animate-spin" : ""} />
      {words}
    </Badge>
  );
}

interface BadgeProps {
  tone?: Tone;
  className?: string | undefined;
  children: React.ReactNode;
}

export function Badge({ tone = "none", className, children }: BadgeProps) {
  return (
    <span
      className={cx(
        "inline-flex items-center gap-1 rounded-full px-2 py-0.5 text-xs font-medium whitespace-nowrap",
        tones[tone],
        className,
      )}
    >
      {children}
    </span>
  );
}
