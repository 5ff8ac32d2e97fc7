import { expect, test } from "vitest";
import { changeOf, orphaned, type Provider } from "./change";

const p = { base_url: "https://models.example.com/v1", has_key: true } as Provider;
const same = { address: p.base_url, choice: "keep", key: "" } as const;

test("what stays as it is is not sent", () => {
  expect(changeOf(p, same)).toEqual({});
  expect(changeOf(p, { ...same, key: "typed, but not chosen" })).toEqual({});
});

test("a key is replaced, or taken away by an empty one", () => {
  expect(changeOf(p, { ...same, choice: "replace", key: " secret " })).toEqual({ key: "secret" });
  expect(changeOf(p, { ...same, choice: "remove", key: "typed before" })).toEqual({ key: "" });
});

test("a key that is kept does not go to another address", () => {
  const moved = { ...same, address: "https://other.example.com/v1" };
  expect(orphaned(p, moved)).toBe(true);
  expect(orphaned(p, same)).toBe(false);
  expect(orphaned({ ...p, has_key: false }, moved)).toBe(false);
  expect(orphaned(p, { ...moved, choice: "replace", key: "secret" })).toBe(false);
  expect(changeOf(p, { ...moved, choice: "remove" })).toEqual({ base_url: moved.address, key: "" });
});
