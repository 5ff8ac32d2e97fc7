import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { follow, type Link, type Told } from "./stream";

// One request for the stream, and what the test answers.
interface Asked {
  path: string;
  after: string | null;
  broken: boolean; // off, by who asks
  answer: (status: number, headers?: Record<string, string>) => void;
  say: (text: string) => void;
  end: () => void;
  fail: () => void;
}

let asked: Asked[] = [];
let links: Link[] = [];
let bunches: Told[][] = [];
let stop = () => {};

function ask(input: RequestInfo | URL): Promise<Response> {
  const request = input as Request;
  const url = new URL(request.url);
  return new Promise((resolve, reject) => {
    let body: ReadableStreamDefaultController<Uint8Array>;
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        body = controller;
      },
    });
    const one: Asked = {
      path: url.pathname + url.search,
      after: request.headers.get("Last-Event-ID"),
      broken: false,
      answer: (status, headers = {}) =>
        resolve(new Response(status === 204 || status >= 400 ? null : stream, { status, headers })),
      say: (text) => body.enqueue(new TextEncoder().encode(text)),
      end: () => body.close(),
      fail: () => reject(new TypeError("Failed to fetch")),
    };
    request.signal.addEventListener("abort", () => {
      one.broken = true;
      reject(request.signal.reason);
      try {
        body.error(request.signal.reason);
      } catch {
        // it has ended
      }
    });
    asked.push(one);
  });
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5); // waits are as long as on average
  vi.stubGlobal("fetch", ask);
  asked = [];
  links = [];
  bunches = [];
});
afterEach(() => {
  stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function start(after?: string): void {
  stop = follow({
    path: "/runs/run_1/events",
    ...(after && { after }),
    tell: (events) => bunches.push(events),
    link: (state) => links.push(state),
  });
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const nth = (n: number): Asked => {
  const one = asked[n];
  if (!one) throw new Error(`asked ${asked.length} times`);
  return one;
};
const event = (id: number, type = "node.started") => `id: ${id}\nevent: ${type}\ndata: {"pos":${id}}\n\n`;

test("it goes on after the last event that was told", async () => {
  start("7");
  await pass(0);
  expect(nth(0)).toMatchObject({ path: "/api/v1/runs/run_1/events", after: "7" });
  nth(0).answer(200);
  nth(0).say(event(8) + event(9));
  await pass(20);
  nth(0).end();
  await pass(499);
  expect(asked).toHaveLength(1);
  await pass(2);
  expect(nth(1).after).toBe("9");
  expect(links).toEqual(["open", "lost"]);
});

test("what comes at once is told at once, in order", async () => {
  start();
  await pass(0);
  expect(nth(0).after).toBeNull();
  nth(0).answer(200);
  nth(0).say(event(1) + event(2));
  nth(0).say(`${event(3)}event: delta.text\ndata: {"te`);
  await pass(5);
  nth(0).say('xt":"a"}\n\n');
  await pass(20);
  nth(0).say(event(4));
  await pass(20);
  expect(bunches.map((b) => b.map((e) => `${e.id} ${e.type}`))).toEqual([
    ["1 node.started", "2 node.started", "3 node.started", " delta.text"],
    ["4 node.started"],
  ]);
  expect(bunches[0]?.[3]?.data).toEqual({ text: "a" });
});

test("what has no ID is not gone on after", async () => {
  start("7");
  await pass(0);
  nth(0).answer(200);
  nth(0).say('event: delta.text\ndata: {"text":"a"}\n\n');
  nth(0).end();
  await pass(600);
  expect(nth(1).after).toBe("7");
});

test.each([
  ["an answer without content", (a: Asked) => a.answer(204)],
  [
    "the end of the run",
    (a: Asked) => {
      a.answer(200);
      a.say(`${event(1, "run.completed")}event: bye\ndata: {"reason":"the run has ended"}\n\n`);
      a.end();
    },
  ],
])("%s is the end", async (_, act) => {
  start();
  await pass(0);
  act(nth(0));
  await pass(120_000);
  expect(asked).toHaveLength(1);
  expect(links.at(-1)).toBe("over");
  expect(bunches.flat().map((e) => e.type)).not.toContain("bye");
});

test("another goodbye is none", async () => {
  start();
  await pass(0);
  nth(0).answer(200);
  nth(0).say('event: bye\ndata: {"reason":"the service ends"}\n\n');
  nth(0).end();
  await pass(600);
  expect(asked).toHaveLength(2);
});

test("silence is given up", async () => {
  start();
  await pass(0);
  nth(0).answer(200);
  await pass(40_000);
  nth(0).say(": here\n\n");
  await pass(40_000);
  expect(nth(0).broken).toBe(false);
  await pass(5_100);
  expect(nth(0).broken).toBe(true);
  expect(links).toEqual(["open", "lost"]);
  await pass(600);
  expect(asked).toHaveLength(2);
});

test("an answer that never begins is given up", async () => {
  start();
  await pass(45_100);
  expect(nth(0).broken).toBe(true);
  expect(links).toEqual(["lost"]);
});

test("who is not there is asked less and less often", async () => {
  start();
  const at: number[] = [];
  const begun = Date.now();
  vi.stubGlobal("fetch", async () => {
    at.push(Date.now() - begun);
    throw new TypeError("Failed to fetch");
  });
  await pass(0);
  nth(0).fail();
  await pass(130_000);
  const waits = at.map((t, i) => t - (at[i - 1] ?? 0));
  expect(waits.slice(0, 9)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
});

test("a stream that breaks off at once is asked for less and less often, too", async () => {
  start();
  for (const wait of [500, 1_000, 2_000]) {
    await pass(0);
    const n = asked.length;
    nth(n - 1).answer(200);
    nth(n - 1).end();
    await pass(wait - 1);
    expect(asked).toHaveLength(n);
    await pass(2);
    expect(asked).toHaveLength(n + 1);
  }
  nth(3).answer(200);
  await pass(40_000);
  nth(3).end(); // it had been there for a while
  await pass(501);
  expect(asked).toHaveLength(5);
});

test.each(["online", "visibilitychange"])("it does not wait any longer on %s", async (what) => {
  start();
  await pass(0);
  nth(0).fail();
  await pass(100);
  (what === "online" ? globalThis : document).dispatchEvent(new Event(what));
  await pass(0);
  expect(asked).toHaveLength(2);
});

test.each([429, 500, 502, 503, 504])("a %d passes", async (status) => {
  start();
  await pass(0);
  nth(0).answer(status, { "Retry-After": "20" });
  await pass(19_000);
  expect(asked).toHaveLength(1);
  await pass(1_100);
  expect(asked).toHaveLength(2);
  expect(links).toEqual(["lost"]);
});

test.each([400, 403, 404])("a %d does not", async (status) => {
  start();
  await pass(0);
  nth(0).answer(status);
  await pass(120_000);
  expect(asked).toHaveLength(1);
  expect(links).toEqual(["over"]);
});

test("the session is renewed where it is over", async () => {
  start();
  await pass(0);
  nth(0).answer(401);
  await pass(0);
  expect(nth(1).path).toBe("/api/v1/auth/me");
  nth(1).answer(401);
  await pass(0);
  expect(nth(2).path).toBe("/api/v1/auth/refresh");
  nth(2).answer(200);
  await pass(0);
  expect(nth(3).path).toBe("/api/v1/runs/run_1/events");
  nth(3).answer(200);
  await pass(0);
  expect(links).toEqual(["open"]);
});

test("who stops hears nothing more", async () => {
  start();
  await pass(0);
  nth(0).answer(200);
  await pass(0);
  stop();
  await pass(120_000);
  expect(nth(0).broken).toBe(true);
  expect(asked).toHaveLength(1);
  expect(links).toEqual(["open"]);
});
