import { Link, type LinkProps } from "@tanstack/react-router";
import { Activity, CircleQuestionMark, CircuitBoard, Hourglass, type LucideIcon, MailX } from "lucide-react";
import type { Schemas } from "@/api/client";
import { useMay } from "@/api/me";
import { cx } from "@/kit/class";
import { short } from "@/kit/format";
import { type Tone, tones } from "@/kit/state";

interface Count {
  label: string;
  icon: LucideIcon;
  n: number;
  parts?: [string, number][]; // what it is made of
  none: string; // what it means that there is none
  tone: Tone; // where there are any
  link: LinkProps;
  more: boolean; // there are more than were counted
}

const mostBreakers = 20; // that an overview shows

// Counts are how many there are of what somebody may want to look at. Each leads to them.
export function Counts({ of }: { of: Schemas["Overview"] }) {
  const may = useMay();
  const c = of.counts;
  const more = c.at_least === true;
  const counts: Count[] = [
    {
      label: "Under way",
      icon: Activity,
      n: c.queued + c.running + c.recovering + c.cancelling,
      parts: [
        ["running", c.running],
        ["queued", c.queued],
        ["recovering", c.recovering],
        ["cancelling", c.cancelling],
      ],
      none: "nothing runs",
      tone: "busy",
      more,
      link: { to: "/runs", search: { state: "queued,running,recovering,cancelling" } },
    },
    {
      label: "Waiting",
      icon: Hourglass,
      n: c.waiting + c.paused,
      parts: [
        ["for a time, a run or somebody", c.waiting],
        ["paused", c.paused],
      ],
      none: "nothing waits",
      tone: "wait",
      more,
      link: { to: "/runs", search: { state: "waiting,paused" } },
    },
    {
      label: "Need a decision",
      icon: CircleQuestionMark,
      n: c.undecided,
      parts: [["with an outcome nobody knows", c.undecided]],
      none: "nothing to decide",
      tone: "bad",
      more,
      link: { to: "/runs", search: { state: "undecided" } },
    },
    {
      label: "Dead letters",
      icon: MailX,
      n: c.dead,
      parts: [["ended badly, not seen to", c.dead]],
      none: "nothing to see to",
      tone: "bad",
      more,
      link: { to: "/dead-letters" },
    },
  ];
  if (may("breakers.read")) {
    counts.push({
      label: "Breakers tripped",
      icon: CircuitBoard,
      n: of.breakers.length,
      parts: [["hold calls back", of.breakers.length]],
      none: "all calls get through",
      tone: "bad",
      more: of.breakers.length >= mostBreakers,
      link: { to: "/breakers" },
    });
  }
  return (
    <ul className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-5" aria-label="What goes on">
      {counts.map((count) => (
        <li key={count.label} className="flex">
          <Tile {...count} />
        </li>
      ))}
    </ul>
  );
}

function Tile({ label, icon: Icon, n, parts = [], none, tone, link, more }: Count) {
  const made = parts.filter(([, k]) => k > 0);
  return (
    <Link
      {...link}
      className="flex flex-1 flex-col gap-1 rounded-lg border bg-card p-3 hover:border-strong-line hover:bg-sunken"
    >
      <span className="flex items-center gap-2 text-soft">
        <span className={cx("rounded p-1", tones[n > 0 ? tone : "none"])}>
          <Icon aria-hidden size={14} />
        </span>
        {label}
      </span>
      <span className="text-2xl font-semibold tabular-nums">
        {short(n)}
        {more && n > 0 && <span title="More than were counted">+</span>}
      </span>
      <span className="text-xs text-soft">
        {made.length === 0 && none}
        {made.length === 1 && made[0]?.[0]}
        {made.length > 1 && made.map(([what, k]) => `${short(k)} ${what}`).join(" · ")}
      </span>
    </Link>
  );
}
