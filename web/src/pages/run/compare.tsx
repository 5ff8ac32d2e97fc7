import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { api, got, type Run } from "@/api/client";
import { Button } from "@/kit/button";
import { Field } from "@/kit/field";
import { date, money, plural, short, span } from "@/kit/format";
import { pages } from "@/kit/list";
import { Empty, Fault, Loading } from "@/kit/note";
import { lookOfState, State } from "@/kit/state";
import { useGraph } from "./data";
import { differences } from "./difference";
import type { Usage } from "./events";
import type { NodeFold, RunFold } from "./fold";
import { type Graph, outputOf } from "./graph";
import { Result } from "./result";
import { useWatch } from "./watch";

interface CompareProps {
  id: string;
  row: Run;
  run: RunFold;
  graph: Graph | undefined;
}

// Compare puts a run beside another, node by node.
export function Compare(props: CompareProps) {
  const other = useSearch({ from: "/inside/runs/$id" }).with;
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-3">
      <Choice {...props} chosen={other} />
      {other ? (
        <Both key={other} {...props} other={other} />
      ) : (
        <Empty title="Compare with which run?">
          Choose another run of this pipeline to see, node by node, what went otherwise: states, durations, outputs and
          cost.
        </Empty>
      )}
    </div>
  );
}

function Choice({ id, row, run, chosen }: CompareProps & { chosen: string | undefined }) {
  const navigate = useNavigate({ from: "/runs/$id" });
  const query = useInfiniteQuery({
    queryKey: ["runs", "of", row.pipeline],
    queryFn: async ({ pageParam, signal }) =>
      got(
        await api.GET("/api/v1/pipelines/{id}/runs", {
          params: { path: { id: row.pipeline }, query: { limit: 50, cursor: pageParam } },
          signal,
        }),
      ),
    ...pages,
  });
  const runs = (query.data?.pages.flatMap((p) => p.items) ?? []).filter((r) => r.id !== id);
  const listed = !chosen || runs.some((r) => r.id === chosen);
  const origin = run.origin?.run;
  return (
    <div className="flex flex-wrap items-end gap-2">
      <Field label="Compare with">
        {(props) => (
          <select
            {...props}
            className="input max-w-xl"
            value={chosen ?? ""}
            onChange={(e) =>
              void navigate({
                search: ({ with: _, ...rest }) => (e.target.value ? { ...rest, with: e.target.value } : rest),
                replace: true,
              })
            }
          >
            <option value="">Choose a run of this pipeline</option>
            {!listed && <option value={chosen}>{chosen}</option>}
            {runs.map((r) => (
              <option key={r.id} value={r.id}>
                {date(r.created_at)}, {lookOfState(r.state).words}, version {r.version}, {r.id.slice(-8)}
                {r.id === origin ? ", the run that this one repeats" : ""}
              </option>
            ))}
          </select>
        )}
      </Field>
      {query.hasNextPage && (
        <Button busy={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          Older ones
        </Button>
      )}
      {query.isError && <Fault error={query.error} retry={() => void query.refetch()} />}
    </div>
  );
}

interface Pair {
  id: string;
  kind: string;
  a: NodeFold | undefined;
  b: NodeFold | undefined;
  outputs: { a: unknown; b: unknown };
  same: boolean; // the outputs are
}

function Both({ id, run, graph, other }: CompareProps & { other: string }) {
  const watched = useWatch(other, false);
  const beside = watched.now;
  const second = useGraph(beside);
  const [only, setOnly] = useState(true);
  const pairs = useMemo(
    () => (graph && second.graph ? pairsOf(run, beside, graph, second.graph) : []),
    [run, beside, graph, second.graph],
  );
  if (watched.problem) return <Fault error={watched.problem} />;
  if (second.error) return <Fault error={second.error} retry={second.retry} />;
  if (!graph || !second.graph || watched.count === 0) return <Loading what="Reading the other run" />;
  const shown = only ? pairs.filter((p) => !p.same || p.a?.state !== p.b?.state) : pairs;
  return (
    <>
      <label className="flex items-center gap-1.5">
        <input type="checkbox" checked={only} onChange={(e) => setOnly(e.target.checked)} /> Only nodes with another
        state or output ({plural(pairs.filter((p) => !p.same || p.a?.state !== p.b?.state).length, "node")} of{" "}
        {pairs.length})
      </label>
      <div className="min-h-0 overflow-auto rounded-lg border bg-card">
        <table className="table" aria-label="Two runs, node by node">
          <thead className="sticky top-0 z-10 bg-card">
            <tr>
              <th scope="col">Node</th>
              <th scope="col">This run, {id.slice(-8)}</th>
              <th scope="col">
                <Link to="/runs/$id" params={{ id: other }} className="link">
                  The other, {other.slice(-8)}
                </Link>
              </th>
              <th scope="col">Time</th>
              <th scope="col">Tokens and cost</th>
              <th scope="col">Output</th>
            </tr>
          </thead>
          <tbody>
            <Result
              head="The run"
              label="the run's output"
              a={run.output}
              b={beside.output}
              cells={
                <>
                  <td>
                    <State state={run.state} />
                  </td>
                  <td>
                    <State state={beside.state} />
                  </td>
                  <td>{times(lasted(run.startedAt, run.endedAt), lasted(beside.startedAt, beside.endedAt))}</td>
                  <td>{costs(run.usage, beside.usage)}</td>
                </>
              }
            />
            <Result
              head="Its input"
              label="the run's input"
              a={run.input}
              b={beside.input}
              cells={<td colSpan={4} />}
            />
            {shown.map((p) => (
              <Result
                key={p.id}
                head={
                  <>
                    {p.id} <span className="font-normal text-soft">{p.kind}</span>
                  </>
                }
                label={`the output of ${p.id}`}
                {...p.outputs}
                cells={
                  <>
                    <td>
                      <Side node={p.a} there={graph.byId.has(p.id)} />
                    </td>
                    <td>
                      <Side node={p.b} there={second.graph?.byId.has(p.id) ?? false} />
                    </td>
                    <td>{times(lasted(p.a?.startedAt, p.a?.endedAt), lasted(p.b?.startedAt, p.b?.endedAt))}</td>
                    <td>{costs(p.a?.usage, p.b?.usage)}</td>
                  </>
                }
              />
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Side({ node, there }: { node: NodeFold | undefined; there: boolean }) {
  if (!there) return <span className="text-soft">not in this version</span>;
  return (
    <>
      <State state={node?.state ?? "pending"} />
      {(node?.attempt ?? 0) > 1 && <span className="ml-1 text-xs text-soft">attempt {node?.attempt}</span>}
    </>
  );
}

function pairsOf(a: RunFold, b: RunFold, graphA: Graph, graphB: Graph): Pair[] {
  const ids = new Set([...graphA.byId.keys(), ...graphB.byId.keys()]);
  return [...ids].map((id) => {
    const kindA = graphA.byId.get(id)?.kind;
    const kindB = graphB.byId.get(id)?.kind;
    const nodeA = a.nodes.get(id);
    const nodeB = b.nodes.get(id);
    const outputs = { a: outputOf(kindA, nodeA, a.input), b: outputOf(kindB, nodeB, b.input) };
    return {
      id,
      kind: kindA ?? kindB ?? "",
      a: nodeA,
      b: nodeB,
      outputs,
      same: differences(outputs.a, outputs.b).length === 0,
    };
  });
}

function lasted(from: number | undefined, to: number | undefined): number | undefined {
  return from === undefined || to === undefined ? undefined : to - from;
}

function times(a: number | undefined, b: number | undefined) {
  return (
    <span className="whitespace-nowrap">
      {a === undefined ? "–" : span(a)} / {b === undefined ? "–" : span(b)}
    </span>
  );
}

function costs(a: Usage | undefined, b: Usage | undefined) {
  if (!a?.model_calls && !b?.model_calls) return <span className="text-soft">–</span>;
  return (
    <>
      <span className="block whitespace-nowrap">{cost(a)} /</span>
      <span className="block whitespace-nowrap">{cost(b)}</span>
    </>
  );
}

function cost(u: Usage | undefined): string {
  if (!u?.model_calls) return "–";
  const price = u.unpriced ? "price unknown" : money(u.cost_micros ?? 0);
  return `${short(u.input_tokens + u.output_tokens)}, ${price}`;
}
