import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Activity } from "lucide-react";
import { api, got, type Run } from "@/api/client";
import { Field } from "@/kit/field";
import { Cells, List, pages } from "@/kit/list";
import { Empty } from "@/kit/note";
import { Page } from "@/kit/page";
import { State } from "@/kit/state";
import { Ago, Took } from "@/kit/time";

// The choices of states that people look for.
const choices: { label: string; states: string }[] = [
  { label: "All", states: "" },
  { label: "Under way", states: "queued,running,recovering,cancelling" },
  { label: "Waiting", states: "waiting,paused" },
  { label: "Completed", states: "completed" },
  { label: "Ended otherwise", states: "failed,timed_out,budget_exhausted,cancelled" },
];

export function Runs() {
  const search = useSearch({ from: "/inside/runs" });
  const navigate = useNavigate({ from: "/runs" });
  const query = useInfiniteQuery({
    queryKey: ["runs", search],
    queryFn: async ({ pageParam, signal }) =>
      got(
        await api.GET("/api/v1/runs", {
          params: {
            query: {
              limit: 100,
              cursor: pageParam,
              ...(search.state && { state: search.state.split(",") as Run["state"][] as never }),
              ...(search.project && { project: search.project }),
            },
          },
          querySerializer: { array: { style: "form", explode: false } },
          signal,
        }),
      ),
    ...pages,
  });
  return (
    <Page
      title="Runs"
      wide
      actions={
        <Field label="State" hidden>
          {(props) => (
            <select
              {...props}
              className="input"
              value={search.state ?? ""}
              onChange={(e) =>
                void navigate({
                  search: ({ state: _, ...rest }) => (e.target.value ? { ...rest, state: e.target.value } : rest),
                })
              }
            >
              {choices.map((c) => (
                <option key={c.label} value={c.states}>
                  {c.label}
                </option>
              ))}
            </select>
          )}
        </Field>
      }
    >
      <List
        query={query}
        label="Runs"
        columns={6}
        head={<Cells of={["State", "Pipeline", "Run", "Project", "Started", "Took"]} />}
        id={(r) => r.id}
        row={(r) => (
          <>
            <td>
              <State state={r.state} />
            </td>
            <td>
              <Link to="/runs/$id" params={{ id: r.id }} className="link">
                {r.pipeline_name || r.pipeline}
              </Link>{" "}
              <span className="text-soft">v{r.version}</span>
            </td>
            <td>
              <code className="text-xs">{r.id.slice(-8)}</code>
            </td>
            <td>{r.project}</td>
            <td>
              <Ago at={r.created_at} />
            </td>
            <td>
              <Took from={r.created_at} to={r.finished_at} />
            </td>
          </>
        )}
        empty={
          <Empty icon={Activity} title={search.state ? "No runs in such a state" : "No runs yet"}>
            A run is one execution of a pipeline. Open a{" "}
            <Link to="/pipelines" className="link">
              pipeline
            </Link>{" "}
            and run it.
          </Empty>
        }
      />
    </Page>
  );
}
