import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { live } from "./live";
import { follow, type Link } from "./stream";

vi.mock("./stream", () => ({ follow: vi.fn() }));

let tell: (...types: string[]) => void;
let link: (state: Link) => void;
const stopped = vi.fn();
const queries = new QueryClient();
let asked: string[];
let stop: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  stopped.mockReset();
  vi.mocked(follow).mockImplementation((o) => {
    tell = (...types) => o.tell(types.map((type) => ({ id: "", type, data: {} })));
    link = (state) => o.link?.(state);
    return stopped;
  });
  asked = [];
  vi.spyOn(queries, "invalidateQueries").mockImplementation(async (filters) => {
    asked.push(String(filters?.queryKey?.[0] ?? "everything"));
  });
  stop = live(queries);
});
afterEach(() => {
  stop();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test("what changed is asked for again", async () => {
  tell("pipeline.updated", "pipeline.published", "user.created", "something.else");
  await pass(200);
  expect(asked.sort()).toEqual(["me", "pipelines", "users"]);
});

test("it listens to no more than it heeds", () => {
  const path = new URL(vi.mocked(follow).mock.lastCall?.[0].path ?? "", "http://x").searchParams.get("type");
  expect(path?.split(",")).toEqual(expect.arrayContaining(["run.*", "pipeline.*"]));
  expect(path).not.toContain("node.*");
  expect(path?.split(",").length).toBeLessThanOrEqual(50); // as many as the service takes
});

test("a storm of events asks every three seconds, and once more at its end", async () => {
  for (let i = 0; i < 100; i++) {
    tell("run.started", "run.completed");
    await pass(100);
  }
  await pass(10_000);
  const runs = asked.filter((a) => a === "runs").length;
  expect(runs).toBeGreaterThanOrEqual(4);
  expect(runs).toBeLessThanOrEqual(5);
  expect(asked.filter((a) => a === "overview")).toHaveLength(runs);
});

test("the last event is never passed over", async () => {
  tell("run.started");
  await pass(200);
  tell("run.completed");
  await pass(2_000);
  expect(asked.filter((a) => a === "runs")).toHaveLength(1);
  await pass(1_500);
  expect(asked.filter((a) => a === "runs")).toHaveLength(2);
});

test("what was read before the stream was there is read again", async () => {
  link("open");
  await pass(100);
  expect(asked).toEqual([]);
  await pass(3_000);
  expect(asked).toEqual(["everything"]);
  await pass(60_000);
  expect(asked).toEqual(["everything"]);
});

test("once the service is back everything is asked for again", async () => {
  link("open");
  await pass(4_000);
  asked = [];
  link("lost");
  link("lost");
  expect(asked).toEqual([]);
  link("open");
  expect(asked).toEqual(["everything"]);
});

test("another log is read anew", () => {
  tell("snapshot");
  expect(asked).toEqual(["everything"]);
});

test("who stops asks for nothing more", async () => {
  link("open");
  tell("run.started");
  stop();
  await pass(10_000);
  expect(asked).toEqual([]);
  expect(stopped).toHaveBeenCalled();
});
