import { useQuery } from "@tanstack/react-query";
import { api, got } from "@/api/client";
import { Field } from "@/kit/field";

interface ChooseProps {
  project: string | undefined;
  onProject: (project: string | undefined) => void;
}

// Choose chooses the project whose things are listed. Where there is one, there
// is nothing to choose.
export function Choose({ project, onProject }: ChooseProps) {
  const query = useQuery({
    queryKey: ["projects", "names"],
    queryFn: async ({ signal }) =>
      got(await api.GET("/api/v1/projects", { params: { query: { limit: 500 } }, signal })),
  });
  const ids = query.data?.items.map((p) => p.id) ?? [];
  if (project && !ids.includes(project)) ids.unshift(project);
  if (ids.length < 2 && !project) return null;
  return (
    <Field label="Project" hidden>
      {(props) => (
        <select
          {...props}
          className="input !w-auto max-w-48"
          value={project ?? ""}
          onChange={(e) => onProject(e.target.value || undefined)}
        >
          <option value="">All projects</option>
          {ids.map((id) => (
            <option key={id} value={id}>
              {id}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface OfPipelineProps {
  project: string | undefined;
  pipeline: string | undefined;
  onPipeline: (pipeline: string | undefined) => void;
}

// ChoosePipeline chooses the pipeline whose runs are listed.
export function ChoosePipeline({ project, pipeline, onPipeline }: OfPipelineProps) {
  const query = useQuery({
    queryKey: ["pipelines", "names", project],
    queryFn: async ({ signal }) =>
      got(
        await api.GET("/api/v1/pipelines", {
          params: { query: { limit: 500, ...(project && { project }) } },
          signal,
        }),
      ),
  });
  const pipelines = query.data?.items ?? [];
  const several = new Set(pipelines.map((p) => p.project)).size > 1;
  const unlisted = pipeline && !pipelines.some((p) => p.id === pipeline);
  if (pipelines.length === 0 && !pipeline) return null;
  return (
    <Field label="Pipeline" hidden>
      {(props) => (
        <select
          {...props}
          className="input !w-auto max-w-56"
          value={pipeline ?? ""}
          onChange={(e) => onPipeline(e.target.value || undefined)}
        >
          <option value="">All pipelines</option>
          {unlisted && <option value={pipeline}>{pipeline}</option>}
          {pipelines.map((p) => (
            <option key={p.id} value={p.id}>
              {several ? `${p.project} / ${p.name}` : p.name}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}
