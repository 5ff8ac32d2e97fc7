import createClient, { type Client as OpenAPI } from "openapi-fetch";
import type { components, paths } from "../../src/api/schema";

export type Run = components["schemas"]["Run"];
export type Pipeline = components["schemas"]["Pipeline"];
export type Role = components["schemas"]["NewUser"]["role"];

// data is that of an answer, which must be a success.
export async function data<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${JSON.stringify(error)}`);
  return data as T;
}

// Client makes what a test finds there.
export class Client {
  private constructor(readonly api: OpenAPI<paths>) {}

  static async signIn(url: string, email: string, password: string): Promise<Client> {
    const open = createClient<paths>({ baseUrl: url });
    const { access_token } = await data(open.POST("/api/v1/auth/login", { body: { email, password } }));
    return new Client(createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${access_token}` } }));
  }

  pipeline(source: string): Promise<Pipeline> {
    return data(this.api.POST("/api/v1/pipelines", { body: { source } }));
  }

  // start runs a pipeline, and waits so long for the end of the run.
  async start(pipeline: string, input: unknown = {}, wait = "30s"): Promise<Run> {
    const params = { path: { id: pipeline }, query: { wait } };
    return data<Run>(this.api.POST("/api/v1/pipelines/{id}/runs", { params, body: { input } }));
  }

  // run makes a pipeline and runs it.
  async run(source: string, input: unknown = {}, wait = "30s"): Promise<Run> {
    const { id } = await this.pipeline(source);
    return this.start(id, input, wait);
  }

  state(run: string): Promise<string> {
    return data(this.api.GET("/api/v1/runs/{id}", { params: { path: { id: run } } })).then((r) => r.state);
  }
}
