import { queryOptions, useQuery } from "@tanstack/react-query";
import { api, got, type Schemas } from "@/api/client";

export type Kind = Schemas["Kind"];
export type KindField = Schemas["Field"];
export type Tool = Schemas["ToolSpec"];
export type Version = Schemas["Version"];

// What cannot change while a page is open is read once.
const once = { staleTime: Number.POSITIVE_INFINITY };

export const pipelineQuery = (id: string) =>
  queryOptions({
    queryKey: ["pipelines", id],
    queryFn: async ({ signal }) => got(await api.GET("/api/v1/pipelines/{id}", { params: { path: { id } }, signal })),
  });

// newestQuery is a pipeline's newest version, without what it says.
export const newestQuery = (id: string) =>
  queryOptions({
    queryKey: ["pipelines", id, "newest"],
    queryFn: async ({ signal }) =>
      got(await api.GET("/api/v1/pipelines/{id}/versions", { params: { path: { id }, query: { limit: 1 } }, signal }))
        .items[0] ?? null,
  });

// versionQuery is a version with what it says. Versions never change.
export const versionQuery = (id: string, number: number) =>
  queryOptions({
    queryKey: ["versions", id, number],
    queryFn: async ({ signal }) =>
      got(await api.GET("/api/v1/pipelines/{id}/versions/{number}", { params: { path: { id, number } }, signal })),
    ...once,
  });

const kindsQuery = queryOptions({
  queryKey: ["kinds"],
  queryFn: async ({ signal }) => got(await api.GET("/api/v1/kinds", { signal })).items,
  ...once,
});

const toolsQuery = queryOptions({
  queryKey: ["tools"],
  queryFn: async ({ signal }) => got(await api.GET("/api/v1/tools", { signal })).items,
  ...once,
});

const modelsQuery = queryOptions({
  queryKey: ["models"],
  queryFn: async ({ signal }) => got(await api.GET("/api/v1/models", { signal })).items,
  staleTime: 300_000,
});

const none: never[] = [];

export const useKinds = (): Kind[] => useQuery(kindsQuery).data ?? none;
export const useTools = (): Tool[] => useQuery(toolsQuery).data ?? none;

// useModels are the models that can be asked.
export const useModels = (): string[] =>
  useQuery({ ...modelsQuery, select: (models) => models.filter((m) => m.usable).map((m) => m.ref) }).data ?? none;

// usePipelines are the names of a project's pipelines.
export function usePipelines(project: string): string[] {
  const query = useQuery({
    queryKey: ["pipelines", "names", project],
    queryFn: async ({ signal }) =>
      got(await api.GET("/api/v1/pipelines", { params: { query: { limit: 500, project } }, signal })).items,
    select: (items: { name: string }[]) => items.map((p) => p.name),
  });
  return query.data ?? none;
}

// useProjects are the projects that the reader sees.
export const useProjects = (): Schemas["Project"][] =>
  useQuery({
    queryKey: ["projects", "all"],
    queryFn: async ({ signal }) =>
      got(await api.GET("/api/v1/projects", { params: { query: { limit: 500 } }, signal })).items,
  }).data ?? none;

// tagOf is the ETag of a pipeline in a revision.
export const tagOf = (revision: number): string => `"${revision}"`;
