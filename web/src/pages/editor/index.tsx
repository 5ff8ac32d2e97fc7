import { useQuery } from "@tanstack/react-query";
import { useParams, useSearch } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { Fault, Loading } from "@/kit/note";
import { newestQuery, pipelineQuery, versionQuery } from "./data";

// What edits is large, and lists do without it.
const Opened = lazy(() => import("./opened"));
const Begun = lazy(() => import("./begun"));

// Editor is a pipeline: its graph and text, its versions and its runs.
export function Editor() {
  const { id } = useParams({ from: "/inside/pipelines/$id" });
  const search = useSearch({ from: "/inside/pipelines/$id" });
  const pipeline = useQuery(pipelineQuery(id));
  const newest = useQuery(newestQuery(id));
  const number = Number(search.version) || newest.data?.number;
  const version = useQuery({ ...versionQuery(id, number ?? 0), enabled: number !== undefined });
  const error = pipeline.error ?? newest.error ?? version.error;
  if (pipeline.data && newest.data && version.data) {
    return (
      <Suspense fallback={<Loading />}>
        <Opened
          key={`${id} ${search.version ?? ""}`}
          pipeline={pipeline.data}
          newest={newest.data.number}
          version={version.data}
          tab={search.tab ?? "graph"}
        />
      </Suspense>
    );
  }
  if (!error) return <Loading />;
  const again = () => void Promise.all([pipeline.refetch(), newest.refetch(), version.refetch()]);
  return (
    <div className="p-6">
      <Fault error={error} retry={again} />
    </div>
  );
}

// NewPipeline is where a pipeline begins.
export function NewPipeline() {
  return (
    <Suspense fallback={<Loading />}>
      <Begun />
    </Suspense>
  );
}
