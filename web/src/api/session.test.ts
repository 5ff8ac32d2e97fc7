import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Problem } from "./problem";
import { maySession, noteSession, onSessionEnd, renew, send } from "./session";

// The service as far as sessions go: whose access token is good, and whose
// refresh token.
const service = { access: true, refresh: true, turn: 0, asked: [] as string[] };
const end = vi.fn();

async function answer(input: RequestInfo | URL): Promise<Response> {
  const request = input as Request;
  const path = new URL(request.url).pathname.replace("/api/v1", "");
  service.asked.push(`${request.method} ${path}`);
  await new Promise((done) => setTimeout(done, 10));
  if (path === "/auth/login") return new Response(null, { status: 401 });
  if (path === "/auth/refresh") {
    if (!service.refresh) return new Response(null, { status: 401 });
    service.refresh = false; // it is good once; the next comes with the answer
    service.access = true;
    return new Response(null, { status: 200 });
  }
  if (!service.access) return new Response(null, { status: 401 });
  if (service.turn > 0) {
    const wait = service.turn;
    service.turn = 0;
    return new Response(null, { status: 429, headers: { "Retry-After": String(wait) } });
  }
  return new Response(await request.text(), { status: 200 });
}

beforeEach(() => {
  Object.assign(service, { access: true, refresh: true, turn: 0, asked: [] });
  vi.stubGlobal("fetch", vi.fn(answer));
  end.mockReset();
  onSessionEnd(end);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const get = (path: string) => send(new Request(`/api/v1${path}`));
const times = (what: string) => service.asked.filter((a) => a === what).length;

test("many that are refused at once renew the session once", async () => {
  service.access = false;
  const answers = await Promise.all([get("/runs"), get("/pipelines"), get("/overview"), get("/users")]);
  expect(answers.map((a) => a.status)).toEqual([200, 200, 200, 200]);
  expect([times("GET /auth/me"), times("POST /auth/refresh")]).toEqual([1, 1]);
  expect(end).not.toHaveBeenCalled();
});

test("what was sent is sent again, whole", async () => {
  service.access = false;
  const a = await send(new Request("/api/v1/pipelines", { method: "POST", body: "name: x" }));
  expect(await a.text()).toBe("name: x");
  expect(times("POST /pipelines")).toBe(2);
});

test("the refresh token stays where another tab was quicker", async () => {
  service.access = false;
  const refused = get("/runs");
  await vi.waitFor(() => expect(times("GET /runs")).toBe(1));
  setTimeout(() => {
    service.access = true;
  }, 5); // before the refusal is read
  expect((await refused).status).toBe(200);
  expect(times("POST /auth/refresh")).toBe(0);
});

test("one tab at a time renews", async () => {
  service.access = false;
  let free = () => {};
  const other = navigator.locks.request("session", () => new Promise<void>((done) => (free = done)));
  const renewed = renew();
  await new Promise((done) => setTimeout(done, 30));
  expect(service.asked).toEqual([]);
  service.access = true; // the other tab has renewed it
  service.refresh = false;
  free();
  await other;
  expect(await renewed).toBe(true);
  expect(service.asked).toEqual(["GET /auth/me"]);
});

test("without locks it is renewed as well", async () => {
  vi.stubGlobal("navigator", {});
  service.access = false;
  expect((await get("/runs")).status).toBe(200);
});

test("a session that is over has ended", async () => {
  service.access = false;
  service.refresh = false;
  expect((await get("/runs")).status).toBe(401);
  expect(end).toHaveBeenCalledTimes(1);
});

test("a service that is not there ends no session", async () => {
  service.access = false;
  vi.stubGlobal("fetch", async (r: Request) => {
    if (new URL(r.url).pathname.endsWith("/auth/refresh")) throw new TypeError("Failed to fetch");
    return answer(r);
  });
  await expect(get("/runs")).rejects.toMatchObject({ status: 0 });
  expect(end).not.toHaveBeenCalled();
  vi.stubGlobal("fetch", vi.fn(answer));
  expect((await get("/runs")).status).toBe(200); // it is tried again
});

test("a refused sign-in renews nothing", async () => {
  const a = await send(new Request("/api/v1/auth/login", { method: "POST", body: "{}" }));
  expect(a.status).toBe(401);
  expect(service.asked).toEqual(["POST /auth/login"]);
  expect(end).not.toHaveBeenCalled();
});

test("a request waits for its turn, and not longer than people do", async () => {
  vi.useFakeTimers();
  service.turn = 2;
  const soon = get("/runs");
  await vi.advanceTimersByTimeAsync(1_500);
  expect(times("GET /runs")).toBe(1);
  await vi.advanceTimersByTimeAsync(1_000);
  expect((await soon).status).toBe(200);
  service.turn = 60;
  const late = get("/runs");
  await vi.advanceTimersByTimeAsync(100);
  expect((await late).status).toBe(429);
});

test("what is broken off is no problem of the service", async () => {
  const stop = new AbortController();
  vi.stubGlobal("fetch", async (r: Request) => {
    r.signal.throwIfAborted();
    return answer(r);
  });
  stop.abort();
  const broken = send(new Request("/api/v1/runs", { signal: stop.signal }));
  await expect(broken).rejects.toMatchObject({ name: "AbortError" });
  await expect(broken).rejects.not.toBeInstanceOf(Problem);
});

test("it is noted whether there is a session", () => {
  expect(maySession()).toBe(false);
  noteSession(true);
  expect(maySession()).toBe(true);
  noteSession(false);
  expect(maySession()).toBe(false);
  vi.stubGlobal("localStorage", {
    getItem: () => {
      throw new DOMException("closed", "SecurityError");
    },
  });
  noteSession(true);
  expect(maySession()).toBe(true); // it has to be asked
});
