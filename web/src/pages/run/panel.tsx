import { Link } from "@tanstack/react-router";
import { X } from "lucide-react";
import { useState } from "react";
import type { Run } from "@/api/client";
import { IconButton } from "@/kit/button";
import { clock, date, span } from "@/kit/format";
import { Json } from "@/kit/json";
import { KindIcon } from "@/kit/kind";
import { Badge, State } from "@/kit/state";
import { Lasted, useAsOf } from "./as-of";
import { Conversation } from "./conversation";
import { failureText, skipText } from "./describe";
import { parsePath } from "./events";
import type { Attempt, NodeFold, RunFold } from "./fold";
import { type Graph, type NodeDef, outputOf } from "./graph";
import { Spent } from "./header";
import { Items } from "./items";
import { NodeActions } from "./node-actions";
import type { Writings } from "./writing";

interface PanelProps {
  path: string;
  row: Run;
  run: RunFold;
  graph: Graph | undefined;
  writings: Writings;
  past: boolean; // nothing can be done about what was
  select: (path: string | undefined) => void;
}

// Panel is all there is to know of a node, or of an item of a map.
export function Panel({ path, row, run, graph, writings, past, select }: PanelProps) {
  const { node: id, item } = parsePath(path);
  const def = graph?.byId.get(id);
  const whole = run.nodes.get(id);
  const node = item === undefined ? whole : whole?.items?.[item];
  const kind = item === undefined ? def?.kind : innerKind(def);
  return (
    <aside
      aria-label={`Node ${path}`}
      className="flex flex-col bg-card max-lg:fixed max-lg:inset-0 max-lg:z-40 lg:min-h-0 lg:w-104 lg:shrink-0 lg:rounded-lg lg:border"
      onKeyDown={(e) => e.key === "Escape" && !e.defaultPrevented && select(undefined)}
    >
      <header className="flex items-center gap-2 border-b px-3 py-2">
        <KindIcon kind={kind ?? ""} />
        <h2 className="min-w-0 flex-1 truncate font-medium">
          {def?.name && item === undefined ? def.name : path}{" "}
          <span className="text-xs font-normal text-soft">{kind}</span>
        </h2>
        <State state={node?.state ?? "pending"} />
        <IconButton label="Close the node" onClick={() => select(undefined)}>
          <X aria-hidden size={16} />
        </IconButton>
      </header>
      <div data-port className="flex min-h-0 flex-col gap-4 overflow-y-auto p-3">
        {item !== undefined && (
          <button type="button" className="link self-start" onClick={() => select(id)}>
            To all items of {id}
          </button>
        )}
        {graph && !def ? <p>The pipeline has no node of this name.</p> : null}
        {!past && <NodeActions path={path} row={row} run={run} graph={graph} node={node} />}
        {node ? <Standing node={node} /> : <p className="text-soft">It has not begun: what it needs has not ended.</p>}
        {node?.items && <Items node={node} select={select} />}
        {node && (kind === "agent" || node.steps.length > 0 || writings.has(path)) && (
          <Section title={kind === "agent" ? "Conversation" : "Calls"}>
            <Conversation node={node} agent={kind === "agent"} writing={writings.get(path)} />
          </Section>
        )}
        {node && node.attempts.length > 0 && <Attempts attempts={node.attempts} />}
        {node?.input !== undefined && kind !== "agent" && (
          <Section title={kind === "map" ? "Items" : "Input"}>
            <Json value={node.input} label="Input" open={kind === "map" ? 1 : 2} />
          </Section>
        )}
        <Output node={node} kind={kind} run={run} />
        {def && (
          <Section title="Definition" closed>
            <Json value={def.config} label="Definition" />
          </Section>
        )}
      </div>
    </aside>
  );
}

// innerKind is what a map does for each of its items.
function innerKind(def: NodeDef | undefined): string | undefined {
  return (def?.config.do as { kind?: string } | undefined)?.kind;
}

export function Section({ title, closed, children }: { title: string; closed?: boolean; children: React.ReactNode }) {
  const [open, setOpen] = useState(!closed);
  return (
    <section>
      <h3 className="mb-1">
        <button
          type="button"
          aria-expanded={open}
          className="text-xs font-medium text-soft hover:text-ink"
          onClick={() => setOpen(!open)}
        >
          {open ? "▾" : "▸"} {title}
        </button>
      </h3>
      {open && children}
    </section>
  );
}

function Output({ node, kind, run }: { node: NodeFold | undefined; kind: string | undefined; run: RunFold }) {
  const value = outputOf(kind, node, run.input);
  if (value === undefined) return null;
  return (
    <Section title={node?.onError === "continue" ? "Output: the fallback in its place" : "Output"}>
      <Json value={value} label="Output" />
    </Section>
  );
}

// Standing is where a node stands and why, with its times.
function Standing({ node }: { node: NodeFold }) {
  const child = node.children.at(-1);
  const ended = node.endedAt !== undefined;
  return (
    <div className="flex flex-col gap-1.5">
      <Reason node={node} />
      {node.failure && (
        <div className="rounded-md border border-bad bg-bad-soft px-2 py-1.5 text-bad">
          <p className="break-words">{failureText(node.failure)}</p>
          <p className="text-xs">
            {node.failure.kind}
            {node.failure.code && `, ${node.failure.code}`}
          </p>
        </div>
      )}
      {node.decided && (
        <p>
          Decided as <strong>{node.decided.as}</strong>
          {node.decided.by && ` by ${node.decided.by}`}.
        </p>
      )}
      {node.children.length > 1 && <p className="text-xs text-soft">It has started {node.children.length} runs.</p>}
      {child && (
        <p>
          {node.detached ? "Started" : ended ? "Waited for" : "Waits for"}{" "}
          <Link to="/runs/$id" params={{ id: child }} className="link">
            run {child.slice(-8)}
          </Link>
        </p>
      )}
      {!node.skipped && (
        <p className="flex flex-wrap gap-x-3 text-xs text-soft">
          {node.startedAt !== undefined && <span title={date(node.startedAt)}>from {clock(node.startedAt)}</span>}
          {node.endedAt !== undefined && <span title={date(node.endedAt)}>to {clock(node.endedAt)}</span>}
          <span>
            {ended ? "took" : "for"} <Lasted from={node.startedAt} to={node.endedAt} />
          </span>
          {node.usage.model_calls + node.usage.tool_calls > 0 && <Spent usage={node.usage} />}
        </p>
      )}
    </div>
  );
}

function Reason({ node }: { node: NodeFold }) {
  const now = useAsOf();
  const wait = node.due === undefined ? "" : node.due > now ? `, in ${span(node.due - now)}` : ", now";
  switch (node.state) {
    case "skipped":
      return <p>It did not run: {skipText(node.skipped ?? "")}.</p>;
    case "waiting":
      return node.due && node.children.length === 0 ? (
        <p>
          It waits until {date(node.due)}
          {wait}.
        </p>
      ) : null;
    case "retrying":
      return (
        <p>
          {node.uncounted ? "It begins again" : `Attempt ${node.attempt} failed. The next begins`}
          {wait || " soon"}.
        </p>
      );
    case "unknown":
      return <p>It may have acted, and nobody can tell. The run waits until somebody says what became of it.</p>;
    case "abandoned":
      return <p>It was told to stop and did not within 30 s. It may still act.</p>;
    case "failed":
    case "timed_out":
      return node.onError ? (
        <p>The run goes on {node.onError === "continue" ? "with the fallback" : "along the error branch"}.</p>
      ) : null;
    case "completed":
      return (
        <>
          {node.kept && <p>Kept from the run that this one repeats.</p>}
          {node.branch !== undefined && (
            <p>
              Branch <Badge tone="good">{node.branch}</Badge> was taken.
            </p>
          )}
        </>
      );
  }
  return node.stopping ? <p>It is being stopped.</p> : null;
}

function Attempts({ attempts }: { attempts: Attempt[] }) {
  if (attempts.length === 1 && attempts[0]?.state !== "interrupted") return null;
  return (
    <Section title="Attempts">
      <ol className="flex flex-col gap-1">
        {attempts.map((a, i) => (
          <li key={i} className="flex flex-col rounded-md bg-sunken px-2 py-1">
            <span className="flex flex-wrap items-center gap-2">
              <span className="font-medium">{a.number}</span>
              <Outcome attempt={a} />
              <span className="text-xs text-soft">
                {clock(a.from)}, {a.to === undefined ? "under way" : span(a.to - a.from)}
              </span>
            </span>
            {a.failure && <span className="text-xs break-words text-soft">{failureText(a.failure)}</span>}
          </li>
        ))}
      </ol>
    </Section>
  );
}

function Outcome({ attempt: a }: { attempt: Attempt }) {
  if (a.state === "interrupted") return <Badge tone="wait">interrupted</Badge>;
  if (a.uncounted) return <Badge tone="wait">came to nothing, does not count</Badge>;
  return <State state={a.state} />;
}
