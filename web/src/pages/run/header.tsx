import { Link } from "@tanstack/react-router";
import { Hourglass } from "lucide-react";
import type { Run, Schemas } from "@/api/client";
import { CopyButton } from "@/kit/copy";
import { date, money, number, plural } from "@/kit/format";
import { Badge, ended, State } from "@/kit/state";
import { Ago, Took } from "@/kit/time";
import { failureText } from "./describe";
import type { Usage } from "./events";
import type { RunFold } from "./fold";

interface AboutProps {
  row: Run;
  run: RunFold;
  why: Schemas["Why"] | undefined;
}

// About is what a run is and where it stands, in a few lines.
export function About({ row, run, why }: AboutProps) {
  const over = ended.includes(run.state);
  const from = iso(run.startedAt ?? run.queuedAt);
  return (
    <div className="flex flex-col gap-1">
      <p className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <State state={why?.state === "recovering" ? "recovering" : run.state} />
        <Link
          to="/pipelines/$id"
          params={{ id: row.pipeline }}
          search={{ version: String(row.version) }}
          className="link"
        >
          version {row.version}
        </Link>
        <span>
          in{" "}
          <Link to="/runs" search={{ project: row.project }} className="link">
            {row.project}
          </Link>
        </span>
        <span>
          {run.startedAt ? "started" : "queued"} <Ago at={from} />
          {run.trigger?.by && ` by ${run.trigger.by}`}
        </span>
        <span>
          {over ? "took" : "for"} <Took from={from} to={over ? iso(run.endedAt) : undefined} />
        </span>
        {run.usage.model_calls + run.usage.tool_calls > 0 && <Spent usage={run.usage} />}
        <span className="flex items-center">
          <code className="text-xs">{row.id}</code>
          <CopyButton text={() => row.id} label="Copy the run's ID" className="!size-6" />
        </span>
      </p>
      <Relations row={row} run={run} />
      {run.failure && over && <p className="text-bad">{failureText(run.failure)}</p>}
      {run.mayHaveActed && (
        <p className="text-bad">It ended over something that may have acted; nobody decided about that.</p>
      )}
      {why && !over && run.state !== "running" && <WhyLine why={why} />}
      {why && run.state === "running" && why.state === "recovering" && <WhyLine why={why} />}
    </div>
  );
}

// WhyLine says why a run does not move.
function WhyLine({ why }: { why: Schemas["Why"] }) {
  const waits = why.waits ?? [];
  const [first, ...rest] = waits;
  return (
    <div className="flex items-start gap-1.5 text-wait">
      <Hourglass aria-hidden size={14} className="mt-0.5 shrink-0" />
      <div className="min-w-0 break-words">
        {first ? <WaitLine wait={first} /> : why.line}
        {rest.length > 0 && (
          <details>
            <summary>and {plural(rest.length, "more reason", "more reasons")}</summary>
            <ul className="max-h-40 overflow-y-auto">
              {rest.map((w) => (
                <li key={`${w.node} ${w.reason}`}>
                  <WaitLine wait={w} />
                </li>
              ))}
            </ul>
          </details>
        )}
      </div>
    </div>
  );
}

function WaitLine({ wait }: { wait: Schemas["Wait"] }) {
  const { node } = wait;
  return (
    <>
      {node && (
        <>
          <Link from="/runs/$id" to="." search={(was) => ({ ...was, node })} className="link">
            {node}
          </Link>
          :{" "}
        </>
      )}
      {wait.reason.replace(/; say so by: .*/, "")}
      {wait.run && (
        <>
          {" "}
          <Link to="/runs/$id" params={{ id: wait.run }} className="link">
            To that run
          </Link>
        </>
      )}
    </>
  );
}

function Relations({ row, run }: { row: Run; run: RunFold }) {
  const labels = Object.entries(row.labels ?? {});
  const { origin, crashes } = run;
  if (!row.parent && !origin && labels.length === 0 && crashes === 0 && !row.deadline) return null;
  return (
    <p className="flex flex-wrap items-center gap-x-3 gap-y-1 text-xs">
      {row.parent && (
        <span>
          begun by{" "}
          <Link
            to="/runs/$id"
            params={{ id: row.parent }}
            search={run.trigger?.node ? { node: run.trigger.node } : {}}
            className="link"
          >
            {run.trigger?.node ? `${run.trigger.node} of ` : ""}
            {row.parent.slice(-8)}
          </Link>
        </span>
      )}
      {origin && (
        <span>
          does {(origin.from ?? []).join(", ")} of{" "}
          <Link to="/runs/$id" params={{ id: origin.run }} className="link">
            {origin.run.slice(-8)}
          </Link>{" "}
          again{origin.kept?.length ? `, keeps ${plural(origin.kept.length, "node")}` : ""} (
          <Link to="/runs/$id" params={{ id: row.id }} search={{ tab: "compare", with: origin.run }} className="link">
            compare
          </Link>
          )
        </span>
      )}
      {crashes > 0 && <span>taken over {crashes === 1 ? "once" : `${crashes} times`} after a crash</span>}
      {row.deadline && !ended.includes(run.state) && <span>must end by {date(row.deadline)}</span>}
      {labels.map(([name, value]) => (
        <Badge key={name}>
          {name}: {value}
        </Badge>
      ))}
    </p>
  );
}

// Spent is what models and tools took. What has no known price is said.
export function Spent({ usage }: { usage: Usage }) {
  const tokens = usage.input_tokens + usage.output_tokens;
  const unpriced = usage.unpriced ?? 0;
  const cost = usage.cost_micros ?? 0;
  const priced = usage.model_calls > unpriced;
  return (
    <>
      {usage.model_calls > 0 && (
        <span
          title={`${number(usage.input_tokens)} in, ${number(usage.output_tokens)} out, ${plural(usage.model_calls, "call")}`}
        >
          {plural(tokens, "token")}
        </span>
      )}
      {usage.model_calls > 0 && (
        <span>
          {priced && money(cost)}
          {priced && unpriced > 0 && " and "}
          {unpriced > 0 && <>{priced ? plural(unpriced, "call") : "cost"} of unknown price</>}
        </span>
      )}
      {usage.tool_calls > 0 && <span>{plural(usage.tool_calls, "tool call")}</span>}
    </>
  );
}

export function iso(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}
