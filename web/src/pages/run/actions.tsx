import { useNavigate } from "@tanstack/react-router";
import { Ban, ChevronDown, CirclePause, CirclePlay, GitFork, MailX, RotateCcw, Trash2 } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import { useState } from "react";
import type { Run } from "@/api/client";
import { useMay } from "@/api/me";
import { steer, useRunsChanged } from "@/api/steer";
import { Button } from "@/kit/button";
import { Confirm } from "@/kit/dialog";
import { ended } from "@/kit/state";
import { tell, tellFault } from "@/kit/toast";
import { Again } from "./again";
import type { RunFold } from "./fold";
import type { Graph } from "./graph";

interface ActionsProps {
  row: Run;
  run: RunFold;
  graph: Graph | undefined;
}

type Ask = "cancel" | "redrive" | "fork" | "delete";

// Actions are what can be done with a run, as far as one may and its state allows.
export function Actions({ row, run, graph }: ActionsProps) {
  const may = useMay();
  const navigate = useNavigate();
  const changed = useRunsChanged();
  const [ask, setAsk] = useState<Ask>();
  const [busy, setBusy] = useState(false);
  const over = ended.includes(run.state);
  const badly = over && run.state !== "completed";
  const writes = may("runs.write", row.project);
  const starts = may("runs.start", row.project);
  const deletes = may("runs.delete", row.project);

  const now = async (act: () => Promise<unknown>, done: string, undo?: () => void) => {
    setBusy(true);
    try {
      await act();
      changed();
      tell(done, undo);
    } catch (e) {
      tellFault(e);
    } finally {
      setBusy(false);
    }
  };
  const resume = () => void now(() => steer.resume(row.id), "It goes on.");
  const pause = () => void now(() => steer.pause(row.id), "It begins nothing more. What is under way ends.", resume);
  const dismiss = () => void now(() => steer.dismiss(row.id), "It is no dead letter any more.");
  const close = () => setAsk(undefined);

  return (
    <>
      {writes && !over && run.state !== "cancelling" && (
        <>
          {run.state === "paused" ? (
            <Button look="main" busy={busy} onClick={resume}>
              <CirclePlay aria-hidden size={15} /> Resume
            </Button>
          ) : (
            <Button busy={busy} onClick={pause}>
              <CirclePause aria-hidden size={15} /> Pause
            </Button>
          )}
          <Button look="danger" onClick={() => setAsk("cancel")}>
            <Ban aria-hidden size={15} /> Cancel
          </Button>
        </>
      )}
      {starts && badly && (
        <Button look="main" onClick={() => setAsk("redrive")}>
          <RotateCcw aria-hidden size={15} /> Redrive
        </Button>
      )}
      {starts && (
        <Button onClick={() => setAsk("fork")}>
          <GitFork aria-hidden size={15} /> Fork
        </Button>
      )}
      {over && ((writes && badly && !row.parent) || (deletes && !row.parent)) && (
        <DropdownMenu.Root modal={false}>
          <DropdownMenu.Trigger asChild>
            <Button aria-label="More">
              More <ChevronDown aria-hidden size={14} />
            </Button>
          </DropdownMenu.Trigger>
          <DropdownMenu.Portal>
            <DropdownMenu.Content className="menu" align="end" sideOffset={4}>
              {writes && badly && (
                <DropdownMenu.Item className="menu-item" onSelect={dismiss}>
                  <MailX aria-hidden size={14} /> Dismiss from the dead letters
                </DropdownMenu.Item>
              )}
              {deletes && (
                <DropdownMenu.Item className="menu-item text-bad" onSelect={() => setAsk("delete")}>
                  <Trash2 aria-hidden size={14} /> Delete
                </DropdownMenu.Item>
              )}
            </DropdownMenu.Content>
          </DropdownMenu.Portal>
        </DropdownMenu.Root>
      )}
      <Confirm
        open={ask === "cancel"}
        onClose={close}
        title="Cancel this run?"
        verb="Cancel the run"
        danger
        act={async () => {
          await steer.cancel(row.id);
          changed();
          tell("The run is being stopped.");
        }}
      >
        What is under way is told to stop, runs that it waits for too, and nothing more is begun. What has ended stays;
        a redrive goes on from there.
      </Confirm>
      <Confirm
        open={ask === "delete"}
        onClose={close}
        title="Delete this run?"
        verb="Delete it for good"
        danger
        act={async () => {
          await steer.remove(row.id);
          changed();
          tell("The run and those that it led to are deleted.");
          await navigate({ to: "/runs" });
        }}
      >
        Its log, its results and the runs that it started are deleted. This cannot be undone.
      </Confirm>
      {(ask === "redrive" || ask === "fork") && graph && (
        <Again row={row} run={run} graph={graph} redrive={ask === "redrive"} onClose={close} />
      )}
    </>
  );
}
