import { expect, test } from "vitest";
import { type Current, changesOf, deletes, problemOf, valuesOf } from "./limits";

const current: Current = {
  revision: 3,
  audit_kept: "0s",
  limit_sign_in: "10/min",
  limit_write: "30/min",
  limit_read: "120/min",
  limit_token: "600/min",
};

test("what is as it was is not sent", () => {
  const was = valuesOf(current);
  expect(changesOf(was, was)).toEqual({});
  expect(changesOf(was, { ...was, limit_read: " 120/min ", limit_write: "60/min" })).toEqual({ limit_write: "60/min" });
});

test("rates and times are held against how they are written", () => {
  for (const good of ["30/min", "5/s", "1000000/h", "600/1h30m", "7/90s"])
    expect(problemOf("limit_read", good)).toBeUndefined();
  for (const bad of ["", "30", "0/min", "2000000/min", "30/day", "-1/s", "3.5/s"])
    expect(problemOf("limit_read", bad)).toBeDefined();
  for (const good of ["0s", "24h", "1.5h", "720h0m0s"]) expect(problemOf("audit_kept", good)).toBeUndefined();
  for (const bad of ["", "30", "30 days", "30d"]) expect(problemOf("audit_kept", bad)).toBeDefined();
});

test("a time after which entries are deleted is asked about, for ever is not", () => {
  expect(deletes({ audit_kept: "720h" })).toBe(true);
  expect(deletes({ audit_kept: "0s" })).toBe(false);
  expect(deletes({ limit_read: "60/min" })).toBe(false);
});
