import createClient from "openapi-fetch";
import { base } from "./base";
import { problemOf } from "./problem";
import type { components, paths } from "./schema";
import { send } from "./session";

export type Schemas = components["schemas"];
export type Run = Schemas["Run"];
export type RunEvent = Schemas["Event"];
export type Pipeline = Schemas["Pipeline"];

// api asks the service as its OpenAPI document describes it. What is no success
// is thrown as a Problem, so that data is there whenever a call returns.
export const api = createClient<paths>({ baseUrl: base || location.origin, fetch: send });

api.use({
  async onResponse({ response }) {
    if (!response.ok) throw await problemOf(response);
  },
});

// got is the data of an answer, which has some.
export function got<T>(answer: { data?: T }): T {
  return answer.data as T;
}

// once is the header by which a change is made once, however often it is asked for.
export function once(): { "Idempotency-Key": string } {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return { "Idempotency-Key": Array.from(random, (b) => b.toString(16).padStart(2, "0")).join("") };
}
