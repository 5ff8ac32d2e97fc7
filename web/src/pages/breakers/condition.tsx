import { CircleDot, CircleSlash, type LucideIcon, OctagonPause } from "lucide-react";
import { Badge, type Tone } from "@/kit/state";

const looks: Record<string, { tone: Tone; icon: LucideIcon; words: string; about: string }> = {
  closed: { tone: "good", icon: CircleDot, words: "closed", about: "Calls are made." },
  open: { tone: "bad", icon: OctagonPause, words: "open", about: "Nothing is called." },
  half_open: { tone: "wait", icon: CircleSlash, words: "half open", about: "One call at a time is tried." },
};

// Condition is whether a breaker lets calls through.
export function Condition({ of }: { of: string }) {
  const look = looks[of];
  const Icon = look?.icon ?? CircleDot;
  return (
    <span title={look?.about}>
      <Badge tone={look?.tone ?? "none"}>
        <Icon aria-hidden size={13} /> {look?.words ?? of}
      </Badge>
    </span>
  );
}
