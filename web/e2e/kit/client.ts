import { readFileSync } from "node:fs";
import { join } from "node:path";
import createClient, { type Client as OpenAPI } from "openapi-fetch";
import type { components, paths } from "../../src/api/schema";

export type Run = components["schemas"]["Run"];
export type Pipeline = components["schemas"]["Pipeline"];
type Role = components["schemas"]["NewUser"]["role"];

// data is that of an answer, which must be a success.
async function data<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${JSON.stringify(error)}`);
  return data as T;
}

// example is a pipeline of those that come with the program.
export function example(name: string): string {
  return readFileSync(join(import.meta.dirname, "../../../examples", `${name}.yaml`), "utf8");
}

// Client makes what a test finds there.
export class Client {
  private constructor(readonly api: OpenAPI<paths>) {}

  static async signIn(url: string, email: string, password: string): Promise<Client> {
    const open = createClient<paths>({ baseUrl: url });
    const { access_token } = await data(open.POST("/api/v1/auth/login", { body: { email, password } }));
    return new Client(createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${access_token}` } }));
  }

  user(email: string, role: Role, password: string) {
    return data(this.api.POST("/api/v1/users", { body: { email, role, password } }));
  }

  pipeline(source: string): Promise<Pipeline> {
    return data(this.api.POST("/api/v1/pipelines", { body: { source } }));
  }

  start(pipeline: string, input?: unknown): Promise<Run> {
    return data(
      this.api.POST("/api/v1/pipelines/{id}/runs", { params: { path: { id: pipeline } }, body: { input } as never }),
    ) as Promise<Run>;
  }
}
