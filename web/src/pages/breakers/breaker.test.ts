import { expect, test } from "vitest";
import type { RunEvent } from "@/api/client";
import { type Breaker, changesOf, nextChange } from "./breaker";

const event = (seq: number, type: string, data: unknown) =>
  ({ seq, type, at: "2026-11-24T01:00:00Z", data }) as unknown as RunEvent;

test("the newest change comes first, with what is told of it", () => {
  const [last, first] = changesOf([
    event(1, "breaker.opened", { reason: "it does not answer", failures: 5, until: "2026-11-24T01:00:30Z" }),
    event(2, "breaker.closed", { by: "ada@example.com" }),
  ]);
  expect(last).toMatchObject({ open: false, by: "ada@example.com", reason: "", until: undefined });
  expect(first).toMatchObject({ open: true, by: "", failures: 5, until: "2026-11-24T01:00:30Z" });
});

const open = (until?: string): Breaker =>
  ({ name: "tool:a", state: "open", failures: 0, calls: 0, failed: 0, ...(until && { until }) }) as Breaker;

test("breakers are looked at again when the first of them becomes half open", () => {
  const now = Date.parse("2026-11-24T01:00:00Z");
  expect(nextChange([], now)).toBe(false);
  expect(nextChange([open()], now)).toBe(false);
  expect(nextChange([open("2026-11-24T01:05:00Z"), open("2026-11-24T01:00:30Z")], now)).toBe(30_250);
  expect(nextChange([open("2026-11-24T00:59:00Z")], now)).toBe(1_000);
  expect(nextChange([open("2027-11-24T01:00:00Z")], now)).toBe(3_600_000);
});
