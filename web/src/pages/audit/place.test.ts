import { expect, test } from "vitest";
import { placeOf } from "./place";

test("what has a page leads to it", () => {
  expect(placeOf("run_01J")).toEqual({ to: "/runs/$id", params: { id: "run_01J" } });
  expect(placeOf("pip_01J")).toEqual({ to: "/pipelines/$id", params: { id: "pip_01J" } });
  expect(placeOf("project:letters")).toEqual({ to: "/projects/$id", params: { id: "letters" } });
  expect(placeOf("breaker:host:example.com:443")).toEqual({ to: "/breakers" });
  expect(placeOf("settings")).toEqual({ to: "/settings" });
});

test("what has none leads nowhere", () => {
  expect(placeOf("")).toBeUndefined();
  expect(placeOf("/api/v1/runs")).toBeUndefined();
  expect(placeOf("tok_01J")).toBeUndefined();
});
