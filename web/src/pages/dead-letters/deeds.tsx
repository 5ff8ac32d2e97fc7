import { Link } from "@tanstack/react-router";
import { Check, X } from "lucide-react";
import { useRef, useState } from "react";
import { asProblem } from "@/api/problem";
import { steer, useRunsChanged } from "@/api/steer";
import { Button, Spinner } from "@/kit/button";
import { Dialog } from "@/kit/dialog";
import { plural } from "@/kit/format";
import type { DeadLetter } from ".";

export interface Deed {
  kind: "redrive" | "dismiss";
  letters: DeadLetter[];
}

// Came is what came of one run.
interface Came {
  next?: string; // the run that goes on
  problem?: string;
}

const words = {
  redrive: {
    title: "Redrive",
    about:
      "Each is gone on with in a new run, with the results that there are. The old run is no dead letter any more.",
    done: "redriven",
  },
  dismiss: {
    title: "Dismiss",
    about:
      "They are no dead letters any more. The runs and their logs stay, and can be redriven later; the list does not have them again.",
    done: "dismissed",
  },
};

// Deeds does the same to several runs, one after the other, and tells of each
// what came of it.
export function Deeds({ deed, onClose }: { deed: Deed; onClose: (done: string[]) => void }) {
  const changed = useRunsChanged();
  const [came, setCame] = useState<ReadonlyMap<string, Came>>(new Map());
  const [busy, setBusy] = useState(false);
  const stop = useRef(false);
  const { title, about, done } = words[deed.kind];
  const well = [...came].filter(([, c]) => !c.problem).map(([id]) => id);
  const open = deed.letters.filter((l) => !well.includes(l.id));
  const over = came.size > 0 && !busy;

  const go = async () => {
    setBusy(true);
    stop.current = false;
    for (const { id } of open) {
      if (stop.current) break;
      let result: Came = {};
      try {
        if (deed.kind === "redrive") result = { next: (await steer.redrive(id, {})).id };
        else await steer.dismiss(id);
      } catch (e) {
        result = { problem: asProblem(e).message };
        stop.current ||= asProblem(e).passing; // the others would fare no better now
      }
      setCame((was) => new Map(was).set(id, result));
    }
    setBusy(false);
    changed();
  };
  const close = () => {
    stop.current = true;
    onClose(well);
  };

  return (
    <Dialog
      open
      onClose={close}
      title={over ? `${plural(well.length, "run")} ${done}` : `${title} ${plural(deed.letters.length, "run")}?`}
      about={about}
    >
      <ul aria-label="Runs" aria-live="polite" className="max-h-80 overflow-y-auto rounded-md border">
        {deed.letters.map((l) => (
          <li key={l.id} className="flex items-center gap-2 border-b px-3 py-1.5 last:border-b-0">
            <span className="min-w-0 flex-1">
              {l.pipeline_name || l.pipeline} <code className="text-xs text-soft">{l.id.slice(-8)}</code>
              {came.get(l.id)?.problem && <span className="block text-xs text-bad">{came.get(l.id)?.problem}</span>}
            </span>
            <Mark came={came.get(l.id)} done={done} busy={busy} />
          </li>
        ))}
      </ul>
      <footer className="flex justify-end gap-2">
        <Button onClick={close}>{over ? "Close" : busy ? "Stop here" : "Leave them"}</Button>
        {open.length > 0 && (
          <Button look="main" busy={busy} onClick={() => void go()}>
            {over ? `Try ${open.length === 1 ? "it" : "them"} again` : title}
          </Button>
        )}
      </footer>
    </Dialog>
  );
}

function Mark({ came, done, busy }: { came: Came | undefined; done: string; busy: boolean }) {
  if (!came) return busy ? <Spinner /> : null;
  if (came.problem) return <X aria-label="It did not work" size={15} className="text-bad" />;
  return (
    <span className="flex items-center gap-1 text-good">
      <Check aria-hidden size={15} />
      {came.next ? (
        <Link to="/runs/$id" params={{ id: came.next }} className="link">
          the new run
        </Link>
      ) : (
        done
      )}
    </span>
  );
}
