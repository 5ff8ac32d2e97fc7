import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { once, type Run } from "@/api/client";
import { asProblem } from "@/api/problem";
import { steer, useRunsChanged } from "@/api/steer";
import { Button } from "@/kit/button";
import { Dialog } from "@/kit/dialog";
import { Field } from "@/kit/field";
import { JsonField, parse } from "@/kit/json-field";
import { Fault } from "@/kit/note";
import { lookOfState } from "@/kit/state";
import { tell } from "@/kit/toast";
import type { RunFold } from "./fold";
import type { Graph } from "./graph";

interface AgainProps {
  row: Run;
  run: RunFold;
  graph: Graph;
  redrive: boolean;
  from?: string; // the node from which on it is repeated
  onClose: () => void;
}

// Again starts a run that repeats another in part: a redrive goes on where it
// did not end well, a fork from a node of one's choice.
export function Again({ row, run, graph, redrive, from, onClose }: AgainProps) {
  const navigate = useNavigate();
  const changed = useRunsChanged();
  const was = { input: pretty(run.input), vars: pretty(run.vars ?? {}) };
  const [input, setInput] = useState(was.input);
  const [vars, setVars] = useState(was.vars);
  const [node, setNode] = useState(from ?? graph.nodes[0]?.id ?? "");
  const [asked, setAsked] = useState<{ what: string; key: ReturnType<typeof once> }>();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const read = { input: parse(input), vars: parse(vars) };
  const object = typeof read.vars.value === "object" && !Array.isArray(read.vars.value);
  const fine = !read.input.problem && !read.vars.problem && object;

  // A run is redriven once: who did so before is named.
  const next = redrive && error !== undefined && /as run (run_\w+)/.exec(asProblem(error).message)?.[1];

  const go = async () => {
    const order = {
      ...(input !== was.input && { input: read.input.value }),
      ...(vars !== was.vars && { vars: (read.vars.value ?? {}) as Record<string, unknown> }),
    };
    // What is sent a second time, because no answer came, is done once.
    const what = JSON.stringify([node, order]);
    const key = asked?.what === what ? asked.key : once();
    setAsked({ what, key });
    setBusy(true);
    setError(undefined);
    try {
      const made = redrive
        ? await steer.redrive(row.id, order, key)
        : await steer.fork(row.id, { ...order, from: [node] }, key);
      changed();
      onClose();
      tell(redrive ? "A new run goes on where this one ended." : "A new run repeats this one.");
      await navigate({ to: "/runs/$id", params: { id: made.id } });
    } catch (e) {
      setError(e);
    } finally {
      setBusy(false);
    }
  };

  return (
    <Dialog
      open
      wide
      onClose={onClose}
      title={redrive ? "Redrive this run" : "Fork this run"}
      about={
        redrive
          ? "A new run keeps what ended well and does the rest again. With another input or other variables, what they change is your affair: results that are kept stay as they are."
          : "A new run keeps what ended before the node and does it again, with all that follows."
      }
    >
      <form
        className="flex flex-col gap-3"
        onSubmit={(e) => {
          e.preventDefault();
          if (fine && !busy) void go();
        }}
      >
        {!redrive && (
          <Field label="Repeat from">
            {(props) => (
              <select {...props} className="input" value={node} onChange={(e) => setNode(e.target.value)}>
                {graph.nodes.map((n) => (
                  <option key={n.id} value={n.id}>
                    {n.name ? `${n.name} (${n.id})` : n.id},{" "}
                    {lookOfState(run.nodes.get(n.id)?.state ?? "pending").words}
                  </option>
                ))}
              </select>
            )}
          </Field>
        )}
        <JsonField label="Input" value={input} onChange={setInput} problem={asProblem(error ?? "").field("input")} />
        <JsonField
          label="Variables that it overrides"
          value={vars}
          onChange={setVars}
          rows={3}
          problem={read.vars.problem || object ? undefined : "It must be an object of names and values."}
        />
        {error !== undefined && <Fault error={error} />}
        {next && (
          <Link to="/runs/$id" params={{ id: next }} className="link" onClick={onClose}>
            To the run that goes on from there
          </Link>
        )}
        <footer className="flex justify-end gap-2">
          <Button onClick={onClose}>Leave it</Button>
          <Button type="submit" look="main" busy={busy} disabled={!fine}>
            {redrive ? "Redrive" : "Fork"}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}

function pretty(value: unknown): string {
  return JSON.stringify(value ?? null, null, 2);
}
