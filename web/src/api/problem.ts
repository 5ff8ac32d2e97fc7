import type { components } from "./schema";

type Details = components["schemas"]["Problem"];

// Problem is an error as the service tells it, or that it cannot be reached.
export class Problem extends Error {
  constructor(
    readonly status: number, // 0: there was no answer
    readonly details: Partial<Details>,
    readonly retryAfter = 0, // in milliseconds
  ) {
    super(details.detail || details.title || "The service cannot be reached.");
  }

  get kind(): string {
    return this.details.kind ?? (this.status === 0 ? "unavailable" : "internal");
  }

  // field is what is wrong with a field of what was sent.
  field(name: string): string | undefined {
    return this.details.errors?.find((e) => e.field === name)?.problem;
  }

  // Whether the same request may do later.
  get passing(): boolean {
    return (
      this.status === 0 || this.status === 429 || this.status === 502 || this.status === 503 || this.status === 504
    );
  }
}

// problemOf reads the error that an answer is.
export async function problemOf(response: Response): Promise<Problem> {
  const seconds = Number(response.headers.get("Retry-After")) || 0;
  let details: Partial<Details> = { title: `The service answered with status ${response.status}.` };
  if (response.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    details = await response.json().catch(() => details);
  }
  return new Problem(response.status, details, seconds * 1000);
}

// asProblem is what was thrown, as an error to show.
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  return new Problem(0, { detail: thrown instanceof Error ? thrown.message : String(thrown) });
}
