import { expect, test } from "vitest";
import type { Me } from "@/api/me";
import { choicesOf, covers, toggle } from "./scopes";

const me = {
  user: {},
  actions: ["runs.read", "account.read", "account.secure", "users.write"],
  projects: { letters: ["runs.read", "runs.start"], other: undefined },
} as unknown as Me;

test("a token can have what its user may, anywhere, but what takes a session", () => {
  expect(choicesOf(me)).toEqual([
    ["account", ["account.read"]],
    ["runs", ["runs.read", "runs.start"]],
  ]);
});

test("patterns hold what they are patterns of", () => {
  expect(covers(["runs.*"], "runs.read")).toBe(true);
  expect(covers(["*.read"], "runs.read")).toBe(true);
  expect(covers(["*"], "runs.read")).toBe(true);
  expect(covers(["runs.read"], "runs.read")).toBe(true);
  expect(covers(["run.*", "*.start", "runs"], "runs.read")).toBe(false);
  expect(covers([], "runs.read")).toBe(false);
});

test("a pattern takes the place of what it holds", () => {
  expect(toggle(["runs.read", "users.read"], "runs.*")).toEqual(["users.read", "runs.*"]);
  expect(toggle(["runs.*"], "runs.*")).toEqual([]);
  expect(toggle([], "runs.read")).toEqual(["runs.read"]);
});
