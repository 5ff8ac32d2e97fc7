import { data } from "./kit/client";
import { asking, example, failing, waiting } from "./kit/pipelines";
import type { Service } from "./kit/service";

// A page is looked at in both themes and on a phone. Its path is told once
// there is something to show on it.
export interface Looked {
  name: string;
  path: string | ((s: Service) => Promise<string>);
}

// Pages that are there from the first, with nothing on most of them.
export const empty: Looked[] = [
  { name: "overview", path: "/" },
  { name: "pipelines", path: "/pipelines" },
  { name: "new pipeline", path: "/pipelines/new" },
  { name: "runs", path: "/runs" },
  { name: "dead letters", path: "/dead-letters" },
  { name: "projects", path: "/projects" },
  { name: "breakers", path: "/breakers" },
  { name: "providers", path: "/providers" },
  { name: "users", path: "/users" },
  { name: "audit", path: "/audit" },
  { name: "settings", path: "/settings" },
  { name: "account", path: "/account" },
];

// fill makes what there is to see, once for a service.
export async function fill(s: Service): Promise<void> {
  const api = await s.as();
  await Promise.all([s.user("viewer"), s.user("operator"), s.user("editor")]);
  const project = { id: "letters", name: "Letters", description: "What customers write" };
  await data(api.api.POST("/api/v1/projects", { body: project }));
  const triage = await api.pipeline(example("triage"));
  await api.start(triage.id, { text: "Production is down since 9:00! Please call me.", customer: "gold" });
  await api.start(triage.id, { text: "How do I change my avatar?" });
  const broken = await api.pipeline(failing);
  for (const text of ["1", "one", "two"]) await api.start(broken.id, { text });
  await api.run(waiting, {}, "0s");
  await api.run(asking("http://127.0.0.1:1/"));
}

async function pipelineNamed(s: Service, name: string): Promise<string> {
  const { items } = await data((await s.as()).api.GET("/api/v1/pipelines", { params: { query: { limit: 100 } } }));
  return items.find((p) => p.name === name)?.id ?? "";
}

function runOf(name: string, view = ""): (s: Service) => Promise<string> {
  return async (s) => {
    const { items } = await data((await s.as()).api.GET("/api/v1/runs", { params: { query: { limit: 100 } } }));
    return `/runs/${items.find((r) => r.pipeline_name === name)?.id}${view}`;
  };
}

// Pages of something, once fill has made it.
export const filled: Looked[] = [
  ...empty.filter((at) => at.name !== "new pipeline"),
  { name: "pipeline", path: async (s) => `/pipelines/${await pipelineNamed(s, "triage")}` },
  { name: "run that completed", path: runOf("triage") },
  { name: "run that failed", path: runOf("failing") },
  { name: "node that failed", path: runOf("failing", "?node=read") },
  { name: "run that waits", path: runOf("waiting") },
  { name: "timeline of a run", path: runOf("triage", "?tab=timeline") },
  { name: "log of a run", path: runOf("triage", "?tab=log") },
  { name: "values of a run", path: runOf("triage", "?tab=values") },
  { name: "conversation of an agent", path: runOf("triage", "?node=gist") },
  { name: "two runs", path: runOf("triage", "?tab=compare") },
  { name: "project", path: "/projects/letters" },
];
