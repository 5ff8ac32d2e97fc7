import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Tabs } from "radix-ui";
import { useState } from "react";
import { asProblem } from "@/api/problem";
import { Empty, Fault, Loading } from "@/kit/note";
import { Page } from "@/kit/page";
import { Actions } from "./actions";
import { AsOf } from "./as-of";
import { Compare } from "./compare";
import { runQuery, useGraph, useWhy } from "./data";
import { About } from "./header";
import { Log } from "./log";
import { Nodes } from "./nodes";
import { Panel } from "./panel";
import { Past } from "./past";
import { Timeline } from "./timeline";
import { Values } from "./values";
import { useWatch } from "./watch";

const tabs = [
  { id: "graph", label: "Graph" },
  { id: "timeline", label: "Timeline" },
  { id: "log", label: "Log" },
  { id: "values", label: "Input and output" },
  { id: "compare", label: "Compare" },
];

export function RunViewer() {
  const { id } = useParams({ from: "/inside/runs/$id" });
  return <Viewer key={id} id={id} />;
}

function Viewer({ id }: { id: string }) {
  const search = useSearch({ from: "/inside/runs/$id" });
  const navigate = useNavigate({ from: "/runs/$id" });
  const watched = useWatch(id);
  const row = useQuery(runQuery(id));
  const { graph, error, retry } = useGraph(watched.now);
  const why = useWhy(id, watched.now);
  const [past, setPast] = useState<number>(); // after how many events one looks; absent is now
  const tab = tabs.some((t) => t.id === search.tab) ? (search.tab ?? "graph") : "graph";
  const problem = row.error ?? watched.problem;
  if (asProblem(problem ?? "").status === 404) {
    return (
      <Page title="Run">
        <Empty title="There is no such run">
          It may have been deleted, or belong to a project that you cannot see.{" "}
          <Link to="/runs" className="link">
            To the runs
          </Link>
        </Empty>
      </Page>
    );
  }
  if (!row.data || watched.count === 0) {
    return (
      <Page title="Run">
        {problem ? <Fault error={problem} retry={() => void row.refetch()} /> : <Loading what="Reading the log" />}
      </Page>
    );
  }
  const run = past === undefined ? watched.now : watched.history.at(past);
  const writings = past === undefined ? watched.writings : new Map();
  const select = (node: string | undefined) =>
    void navigate({ search: ({ node: _, ...rest }) => (node ? { ...rest, node } : rest), replace: true });
  const goTo = (count: number | undefined) =>
    setPast(count !== undefined && count < watched.count ? Math.max(count, 1) : undefined);
  const view = { run, graph, selected: search.node, select };
  return (
    <Page
      title={row.data.pipeline_name || graph?.name || row.data.pipeline}
      wide
      about={<About row={row.data} run={watched.now} why={why} />}
      actions={<Actions row={row.data} run={watched.now} graph={graph} />}
    >
      <Tabs.Root
        value={tab}
        onValueChange={(to) =>
          void navigate({
            search: ({ tab: _, ...rest }) => (to === "graph" ? rest : { ...rest, tab: to }),
            replace: true,
          })
        }
        className="flex min-h-0 flex-1 flex-col gap-3"
      >
        <div className="flex flex-wrap items-end gap-x-4 gap-y-2 border-b">
          <Tabs.List aria-label="Views of the run" className="flex min-w-0 overflow-x-auto">
            {tabs.map((t) => (
              <Tabs.Trigger
                key={t.id}
                value={t.id}
                className="-mb-px border-b-2 border-transparent px-3 py-1.5 whitespace-nowrap text-soft data-[state=active]:border-accent data-[state=active]:font-medium data-[state=active]:text-ink"
              >
                {t.label}
              </Tabs.Trigger>
            ))}
          </Tabs.List>
          {tab !== "compare" && <Past watched={watched} past={past} goTo={goTo} />}
        </div>
        {error ? <Fault error={error} retry={retry} /> : null}
        <AsOf value={past === undefined ? undefined : run.at}>
          <div className="flex min-h-0 flex-1 gap-3 max-lg:flex-col">
            <Tabs.Content value={tab} className="flex min-h-72 min-w-0 flex-1 flex-col" tabIndex={-1}>
              {tab === "graph" && <Nodes {...view} />}
              {tab === "timeline" && <Timeline {...view} />}
              {tab === "log" && (
                <Log history={watched.history} count={past ?? watched.count} goTo={goTo} select={select} />
              )}
              {tab === "values" && <Values run={run} />}
              {tab === "compare" && <Compare id={id} row={row.data} run={watched.now} graph={graph} />}
            </Tabs.Content>
            {search.node && tab !== "compare" && tab !== "values" && (
              <Panel
                key={search.node}
                path={search.node}
                row={row.data}
                run={run}
                graph={graph}
                writings={writings}
                past={past !== undefined}
                select={select}
              />
            )}
          </div>
        </AsOf>
      </Tabs.Root>
    </Page>
  );
}
