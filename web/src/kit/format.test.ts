import { expect, test } from "vitest";
import { ago, money, plural, span } from "./format";

test.each([
  [-5, "0 ms"],
  [0, "0 ms"],
  [999.4, "999 ms"],
  [999.6, "1.0 s"],
  [1_249, "1.2 s"],
  [9_949, "9.9 s"],
  [9_970, "10 s"],
  [59_400, "59 s"],
  [59_600, "1 m 0 s"],
  [185_000, "3 m 5 s"],
  [3_599_600, "1 h 0 m"],
  [86_399_000, "23 h 59 m"],
  [90_000_000, "1 d 1 h"],
])("%d ms are %s", (ms, want) => {
  expect(span(ms)).toBe(want);
});

test.each([
  [0, "now"],
  [-400, "now"],
  [-1_000, "1 sec. ago"],
  [-59_999, "59 sec. ago"],
  [-60_000, "1 min. ago"],
  [-7_200_000, "2 hr. ago"],
  [-86_400_000, "yesterday"],
  [-20 * 86_400_000, "2 wk. ago"],
  [-400 * 86_400_000, "last yr."],
  [90_000, "in 1 min."],
])("%d ms away is %s", (away, want) => {
  const now = Date.parse("2026-11-24T12:00:00Z");
  expect(ago(new Date(now + away).toISOString(), now)).toBe(want);
  expect(ago(now + away, now)).toBe(want);
});

test.each([
  [0, "$0.00"],
  [1, "$0.000001"],
  [9_999, "$0.009999"],
  [10_000, "$0.01"],
  [1_234_567, "$1.23"],
])("%d millionths are %s", (micros, want) => {
  expect(money(micros)).toBe(want);
});

test("one is not many", () => {
  expect([plural(0, "run"), plural(1, "run"), plural(2, "run"), plural(1_234, "entry", "entries")]).toEqual([
    "0 runs",
    "1 run",
    "2 runs",
    "1,234 entries",
  ]);
});
