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
import { Choose, ChoosePipeline } from "./choose";

// Runs with a node of which somebody is to say what became of it: no state of
// its own, but one that people look for.
const undecided = "undecided";

// The choices of states that people look for.
const choices: { label: string; states: string }[] = [
  { label: "All", states: "" },
  { label: "Under way", states: "queued,running,recovering,cancelling" },
  { label: "Waiting", states: "waiting,paused" },
  { label: "For somebody to decide", states: undecided },
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
              ...(search.state === undecided
                ? { undecided: true }
                : search.state && { state: search.state.split(",") as Run["state"][] as never }),
              ...(search.project && { project: search.project }),
              ...(search.pipeline && { pipeline: search.pipeline }),
            },
          },
          querySerializer: { array: { style: "form", explode: false } },
          signal,
        }),
      ),
    ...pages,
  });
  const choose = (what: { [name in keyof typeof search]: string | undefined }) =>
    void navigate({
      search: (was) => {
        const next: typeof search = {};
        for (const [name, value] of Object.entries({ ...was, ...what })) {
          if (value) next[name as keyof typeof search] = value;
        }
        return next;
      },
    });
  const filtered = Boolean(search.state || search.project || search.pipeline);
  return (
    <Page
      title="Runs"
      wide
      actions={
        <>
          <Choose project={search.project} onProject={(project) => choose({ project, pipeline: undefined })} />
          <ChoosePipeline
            project={search.project}
            pipeline={search.pipeline}
            onPipeline={(pipeline) => choose({ pipeline })}
          />
          <Field label="State" hidden>
            {(props) => (
              <select
                {...props}
                className="input !w-auto"
                value={search.state ?? ""}
                onChange={(e) => choose({ state: e.target.value || undefined })}
              >
                {choices.map((c) => (
                  <option key={c.label} value={c.states}>
                    {c.label}
                  </option>
                ))}
                {search.state && !choices.some((c) => c.states === search.state) && (
                  <option value={search.state}>{search.state.replaceAll(",", ", ").replaceAll("_", " ")}</option>
                )}
              </select>
            )}
          </Field>
        </>
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
          <Empty icon={Activity} title={filtered ? "No such runs" : "No runs yet"}>
            {filtered && (
              <p>
                None fits what is chosen above.{" "}
                <Link to="/runs" className="link">
                  Show all
                </Link>
              </p>
            )}
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
