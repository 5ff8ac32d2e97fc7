import { useQueryClient } from "@tanstack/react-query";
import { api, got, once, type Run, type Schemas } from "./client";

// How runs are steered. Each is asked for once, however often it is sent.

const at = (id: string, key = once()) => ({ params: { path: { id }, header: key } });

export const steer = {
  cancel: async (id: string): Promise<Run> => got(await api.POST("/api/v1/runs/{id}/cancel", at(id))),
  pause: async (id: string): Promise<Run> => got(await api.POST("/api/v1/runs/{id}/pause", at(id))),
  resume: async (id: string): Promise<Run> => got(await api.POST("/api/v1/runs/{id}/resume", at(id))),
  dismiss: async (id: string): Promise<Run> => got(await api.POST("/api/v1/runs/{id}/dismiss", at(id))),
  decide: async (id: string, body: Schemas["Decision"]): Promise<Run> =>
    got(await api.POST("/api/v1/runs/{id}/decide", { ...at(id), body })),
  redrive: async (id: string, body: Schemas["RedriveOrder"], key = once()): Promise<Run> =>
    got(await api.POST("/api/v1/runs/{id}/redrive", { ...at(id, key), body })),
  fork: async (id: string, body: Schemas["ForkOrder"], key = once()): Promise<Run> =>
    got(await api.POST("/api/v1/runs/{id}/fork", { ...at(id, key), body })),
  remove: async (id: string): Promise<void> => {
    await api.DELETE("/api/v1/runs/{id}", at(id));
  },
};

// useRunsChanged has the lists of runs asked for again.
export function useRunsChanged(): () => void {
  const queries = useQueryClient();
  return () => {
    for (const key of ["runs", "dead-letters", "overview"]) void queries.invalidateQueries({ queryKey: [key] });
  };
}
