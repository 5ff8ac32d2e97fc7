import { queryOptions, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { api, got } from "@/api/client";
import { ended } from "@/kit/state";
import type { RunFold } from "./fold";
import { type Graph, graphOf } from "./graph";

// What is known of a run beside its log does not change.
export const runQuery = (id: string) =>
  queryOptions({
    queryKey: ["run", id],
    queryFn: async ({ signal }) => got(await api.GET("/api/v1/runs/{id}", { params: { path: { id } }, signal })),
    staleTime: 60_000,
  });

const versionQuery = (pipeline: string, number: number) =>
  queryOptions({
    queryKey: ["version", pipeline, number],
    queryFn: async ({ signal }) =>
      got(
        await api.GET("/api/v1/pipelines/{id}/versions/{number}", {
          params: { path: { id: pipeline, number } },
          signal,
        }),
      ),
    staleTime: Number.POSITIVE_INFINITY,
    enabled: pipeline !== "",
  });

// useGraph is the graph that a run is of, once it is there.
export function useGraph(run: RunFold): { graph: Graph | undefined; error: unknown; retry: () => void } {
  const query = useQuery(versionQuery(run.pipeline, run.version));
  const definition = query.data?.definition;
  const graph = useMemo(() => (definition ? graphOf(definition) : undefined), [definition]);
  return { graph, error: query.error, retry: () => void query.refetch() };
}

const quiet = 3_000; // after which a run that does not move is asked why

// useWhy is why a run does not move, if it does not.
export function useWhy(id: string, run: RunFold) {
  const over = ended.includes(run.state);
  const [still, setStill] = useState(0); // the event after which nothing moved
  useEffect(() => {
    if (over || run.seq === 0) return;
    const timer = setTimeout(() => setStill(run.seq), quiet);
    return () => clearTimeout(timer);
  }, [over, run.seq]);
  const asked = !over && still > 0 && still === run.seq;
  const query = useQuery({
    queryKey: ["why", id, still],
    queryFn: async ({ signal }) => got(await api.GET("/api/v1/runs/{id}/why", { params: { path: { id } }, signal })),
    enabled: asked,
    refetchInterval: 30_000, // a place in a queue is in no log
  });
  return asked ? query.data : undefined;
}
