import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Activity } from "lucide-react";
import { api, got } from "@/api/client";
import { Button } from "@/kit/button";
import { Cells, List, pages } from "@/kit/list";
import { Empty } from "@/kit/note";
import { State } from "@/kit/state";
import { Ago, Took } from "@/kit/time";

interface RunsTabProps {
  pipeline: string;
  onRun: (() => void) | undefined; // undefined for who may not
}

// RunsTab lists the runs of a pipeline, the newest first.
export function RunsTab({ pipeline, onRun }: RunsTabProps) {
  const query = useInfiniteQuery({
    queryKey: ["runs", "of", pipeline],
    queryFn: async ({ pageParam, signal }) =>
      got(
        await api.GET("/api/v1/pipelines/{id}/runs", {
          params: { path: { id: pipeline }, query: { limit: 100, cursor: pageParam } },
          signal,
        }),
      ),
    ...pages,
  });
  return (
    <div className="min-h-0 flex-1 p-3">
      <List
        query={query}
        label="Runs of the pipeline"
        columns={5}
        head={<Cells of={["State", "Run", "Version", "Started", "Took"]} />}
        id={(r) => r.id}
        row={(r) => (
          <>
            <td>
              <State state={r.state} />
            </td>
            <td>
              <Link to="/runs/$id" params={{ id: r.id }} className="link">
                <code className="text-xs">{r.id.slice(-8)}</code>
              </Link>
            </td>
            <td>{r.version}</td>
            <td>
              <Ago at={r.created_at} />
            </td>
            <td>
              <Took from={r.created_at} to={r.finished_at} />
            </td>
          </>
        )}
        empty={
          <Empty icon={Activity} title="No runs yet">
            <p>Each run is recorded step by step, and can be looked at while it goes on and after.</p>
            {onRun && (
              <Button look="main" className="mt-3" onClick={onRun}>
                Run it
              </Button>
            )}
          </Empty>
        }
      />
    </div>
  );
}
