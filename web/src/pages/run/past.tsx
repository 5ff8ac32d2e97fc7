import { History as HistoryIcon, StepBack, StepForward } from "lucide-react";
import { Button, IconButton } from "@/kit/button";
import { clock, number } from "@/kit/format";
import type { Watched } from "./watch";

interface PastProps {
  watched: Watched;
  past: number | undefined;
  goTo: (count: number | undefined) => void;
}

// Past goes back to how the run was after any of its events.
export function Past({ watched, past, goTo }: PastProps) {
  const { count, history } = watched;
  const at = past ?? count;
  const event = history.events[at - 1];
  const told = event ? `${event.type}${event.node ? ` ${event.node}` : ""}, ${clock(event.at)}` : "";
  return (
    <div className="mb-1 flex min-w-0 flex-1 items-center justify-end gap-1 max-sm:basis-full">
      {past !== undefined && (
        <p role="status" className="flex items-center gap-1.5 rounded-full bg-wait-soft px-2 py-0.5 text-xs text-wait">
          <HistoryIcon aria-hidden size={13} /> As it was after event {number(at)} of {number(count)}, {told}
        </p>
      )}
      {past !== undefined && (
        <Button small look="main" onClick={() => goTo(undefined)}>
          Back to now
        </Button>
      )}
      <IconButton label="One event back" disabled={at <= 1} onClick={() => goTo(at - 1)}>
        <StepBack aria-hidden size={14} />
      </IconButton>
      <input
        type="range"
        aria-label="As it was after event"
        aria-valuetext={`event ${at} of ${count}: ${told}`}
        className="w-32 accent-(--accent) sm:w-48"
        min={1}
        max={Math.max(count, 1)}
        value={at}
        onChange={(e) => goTo(Number(e.target.value))}
      />
      <IconButton label="One event on" disabled={past === undefined} onClick={() => goTo(at + 1)}>
        <StepForward aria-hidden size={14} />
      </IconButton>
    </div>
  );
}
