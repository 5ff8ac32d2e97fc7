import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Play, Plus, Trash2, Workflow } from "lucide-react";
import { lazy, Suspense, useMemo, useState } from "react";
import { api, got, once, type Pipeline, type Run } from "@/api/client";
import { useMay } from "@/api/me";
import { IconButton, lookOf } from "@/kit/button";
import { Confirm } from "@/kit/dialog";
import { Field } from "@/kit/field";
import { Cells, List, pages } from "@/kit/list";
import { Empty } from "@/kit/note";
import { Page } from "@/kit/page";
import { State } from "@/kit/state";
import { Ago } from "@/kit/time";
import { tell } from "@/kit/toast";

const RunDialog = lazy(() => import("../editor/run/run-dialog"));

// Pipelines lists what can be run.
export function Pipelines() {
  const search = useSearch({ from: "/inside/pipelines" });
  const navigate = useNavigate({ from: "/pipelines" });
  const queries = useQueryClient();
  const may = useMay();
  const [sought, setSought] = useState("");
  const [running, setRunning] = useState<Pipeline>();
  const [gone, setGone] = useState<Pipeline>();
  const mayRead = may("runs.read");
  const words = sought.trim().toLowerCase();
  const query = useInfiniteQuery({
    queryKey: ["pipelines", "list", search.project ?? ""],
    queryFn: async ({ pageParam, signal }) =>
      got(
        await api.GET("/api/v1/pipelines", {
          params: { query: { limit: 200, cursor: pageParam, ...(search.project && { project: search.project }) } },
          signal,
        }),
      ),
    ...pages,
    select: (data) => ({
      ...data,
      pages: data.pages.map((p) => ({
        ...p,
        items: p.items.filter((i) => i.name.toLowerCase().includes(words) || i.id === words),
      })),
    }),
  });
  const projects = useQuery({
    queryKey: ["projects", "all"],
    queryFn: async ({ signal }) =>
      got(await api.GET("/api/v1/projects", { params: { query: { limit: 500 } }, signal })).items,
  });
  // One request tells the last run of all that ran lately.
  const latest = useQuery({
    queryKey: ["runs", "by pipeline", search.project ?? ""],
    queryFn: async ({ signal }) =>
      got(
        await api.GET("/api/v1/runs", {
          params: { query: { limit: 500, ...(search.project && { project: search.project }) } },
          signal,
        }),
      ).items,
    enabled: mayRead,
  });
  const last = useMemo(() => {
    const by = new Map<string, Run>();
    for (const run of latest.data ?? []) if (!by.has(run.pipeline)) by.set(run.pipeline, run);
    return by;
  }, [latest.data]);
  const filtered = words !== "" || search.project !== undefined;
  return (
    <Page
      title="Pipelines"
      wide
      actions={
        <>
          <Field label="Name" hidden>
            {(p) => (
              <input
                {...p}
                type="search"
                className="input !w-44"
                placeholder="Name"
                value={sought}
                onChange={(e) => setSought(e.target.value)}
              />
            )}
          </Field>
          <Field label="Project" hidden>
            {(p) => (
              <select
                {...p}
                className="input !w-auto"
                value={search.project ?? ""}
                onChange={(e) => void navigate({ search: e.target.value ? { project: e.target.value } : {} })}
              >
                <option value="">All projects</option>
                {search.project && !projects.data?.some((o) => o.id === search.project) && (
                  <option value={search.project}>{search.project}</option>
                )}
                {projects.data?.map((o) => (
                  <option key={o.id} value={o.id}>
                    {o.name || o.id}
                  </option>
                ))}
              </select>
            )}
          </Field>
          {may("pipelines.write", search.project) && (
            <Link to="/pipelines/new" search={search} className={lookOf("main")}>
              <Plus aria-hidden size={15} /> New pipeline
            </Link>
          )}
        </>
      }
    >
      <List
        query={query}
        label="Pipelines"
        columns={mayRead ? 6 : 5}
        head={<Cells of={["Name", "Project", "Published", ...(mayRead ? ["Last run"] : []), "Changed", ""]} />}
        id={(p) => p.id}
        height={49}
        row={(p) => (
          <>
            <td>
              <Link to="/pipelines/$id" params={{ id: p.id }} className="link">
                {p.name}
              </Link>
            </td>
            <td>{p.project}</td>
            <td className="whitespace-nowrap">version {p.published}</td>
            {mayRead && (
              <td className="whitespace-nowrap">
                <LastRun run={last.get(p.id)} />
              </td>
            )}
            <td>
              <Ago at={p.updated_at} />
            </td>
            <td className="!py-1 text-right whitespace-nowrap">
              {may("runs.write", p.project) && (
                <IconButton label={`Run ${p.name}`} onClick={() => setRunning(p)}>
                  <Play aria-hidden size={15} />
                </IconButton>
              )}
              {may("pipelines.write", p.project) && (
                <IconButton label={`Delete ${p.name}`} onClick={() => setGone(p)}>
                  <Trash2 aria-hidden size={15} />
                </IconButton>
              )}
            </td>
          </>
        )}
        empty={
          <Empty icon={Workflow} title={filtered ? "No such pipelines" : "No pipelines yet"}>
            {filtered ? (
              "Look for another name, or in all projects."
            ) : (
              <>
                <p>
                  A pipeline is a graph of steps: agents that work, tools that are called, conditions, delays. It is
                  made on a canvas or as YAML, and every run of it is recorded step by step.
                </p>
                {may("pipelines.write") && (
                  <Link to="/pipelines/new" className={`${lookOf("main")} mt-3`}>
                    Make the first
                  </Link>
                )}
              </>
            )}
          </Empty>
        }
      />
      {running && (
        <Suspense fallback={null}>
          <RunDialog pipeline={running} onClose={() => setRunning(undefined)} />
        </Suspense>
      )}
      <Confirm
        open={gone !== undefined}
        onClose={() => setGone(undefined)}
        title={`Delete ${gone?.name}?`}
        verb="Delete it"
        danger
        act={async () => {
          if (!gone) return;
          await api.DELETE("/api/v1/pipelines/{id}", {
            params: { path: { id: gone.id }, header: { "If-Match": `"${gone.revision}"`, ...once() } },
          });
          tell(`${gone.name} is deleted. Its runs stay.`);
          await queries.invalidateQueries({ queryKey: ["pipelines"] });
        }}
      >
        Nobody can run it again, and its name is free for another. The runs that it had stay.
      </Confirm>
    </Page>
  );
}

function LastRun({ run }: { run: Run | undefined }) {
  if (!run) return <span className="text-soft">none lately</span>;
  return (
    <Link to="/runs/$id" params={{ id: run.id }} className="inline-flex items-center gap-2">
      <State state={run.state} /> <Ago at={run.created_at} />
    </Link>
  );
}
