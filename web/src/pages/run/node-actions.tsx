import { GitFork } from "lucide-react";
import { useState } from "react";
import type { Run, Schemas } from "@/api/client";
import { useMay } from "@/api/me";
import { steer } from "@/api/steer";
import { Button } from "@/kit/button";
import { Dialog } from "@/kit/dialog";
import { JsonField, parse } from "@/kit/json-field";
import { Fault } from "@/kit/note";
import { tell } from "@/kit/toast";
import { Again } from "./again";
import { parsePath } from "./events";
import type { NodeFold, RunFold } from "./fold";
import type { Graph } from "./graph";

interface NodeActionsProps {
  path: string;
  row: Run;
  run: RunFold;
  graph: Graph | undefined;
  node: NodeFold | undefined;
}

// NodeActions are what can be done at a node.
export function NodeActions({ path, row, run, graph, node }: NodeActionsProps) {
  const may = useMay();
  const [fork, setFork] = useState(false);
  const { node: id, item } = parsePath(path);
  const decides = node?.state === "unknown" && may("runs.write", row.project);
  const forks = item === undefined && graph?.byId.has(id) && may("runs.start", row.project);
  if (!decides && !forks) return null;
  return (
    <div className="flex flex-col gap-2">
      {decides && <Decide id={row.id} path={path} />}
      {forks && (
        <Button small className="self-start" onClick={() => setFork(true)}>
          <GitFork aria-hidden size={13} /> Fork from here
        </Button>
      )}
      {fork && graph && (
        <Again row={row} run={run} graph={graph} redrive={false} from={id} onClose={() => setFork(false)} />
      )}
    </div>
  );
}

type As = Schemas["Decision"]["as"];

const words: Record<As, { title: string; about: string; verb: string; done: string }> = {
  done: {
    title: "It has been done",
    about: "The run goes on as if the call had answered. What follows sees the output that you give.",
    verb: "Count it as done",
    done: "It counts as done.",
  },
  retry: {
    title: "Do it again",
    about: "The call is made again. If it did act the first time, it acts twice.",
    verb: "Do it again",
    done: "It is done again.",
  },
  fail: {
    title: "Count it as failed",
    about: "The node fails, and the run goes on as its definition says for a failure.",
    verb: "Count it as failed",
    done: "It counts as failed.",
  },
};

// Decide says what became of a node whose outcome nobody knows.
function Decide({ id, path }: { id: string; path: string }) {
  const [as, setAs] = useState<As>();
  const [output, setOutput] = useState("null");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const read = parse(output);
  const close = () => {
    setAs(undefined);
    setError(undefined);
  };
  const go = async (how: As) => {
    setBusy(true);
    setError(undefined);
    try {
      const given = how === "done" && read.value !== null;
      await steer.decide(id, { node: path, as: how, ...(given && { output: read.value }) });
      close();
      tell(`${path}: ${words[how].done}`);
    } catch (e) {
      setError(e);
    } finally {
      setBusy(false);
    }
  };
  return (
    <section aria-label="What became of it" className="rounded-md border border-bad p-2">
      <p className="mb-2 font-medium">What became of it? Look at the other side, then say:</p>
      <div className="flex flex-wrap gap-2">
        <Button small onClick={() => setAs("done")}>
          It was done
        </Button>
        <Button small onClick={() => setAs("retry")}>
          Do it again
        </Button>
        <Button small onClick={() => setAs("fail")}>
          It failed
        </Button>
      </div>
      {as && (
        <Dialog open onClose={close} title={`${path}: ${words[as].title}`} about={words[as].about}>
          <form
            className="flex flex-col gap-3"
            onSubmit={(e) => {
              e.preventDefault();
              if (!busy && !(as === "done" && read.problem)) void go(as);
            }}
          >
            {as === "done" && <JsonField label="Its output" value={output} onChange={setOutput} rows={5} />}
            {error !== undefined && <Fault error={error} />}
            <footer className="flex justify-end gap-2">
              <Button onClick={close}>Leave it open</Button>
              <Button type="submit" look={as === "done" ? "main" : "danger"} busy={busy}>
                {words[as].verb}
              </Button>
            </footer>
          </form>
        </Dialog>
      )}
    </section>
  );
}
