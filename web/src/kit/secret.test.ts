import { expect, test } from "vitest";
import { secret } from "./secret";

test("secrets are long, differ, and are of signs that nobody takes for each other", () => {
  const made = new Set(Array.from({ length: 500 }, () => secret()));
  expect(made.size).toBe(500);
  for (const s of made) expect(s).toMatch(/^([a-km-np-zA-HJ-NP-Z2-9]{4}-){4}[a-km-np-zA-HJ-NP-Z2-9]{4}$/);
});

test("bytes that would make some signs likelier are passed over", () => {
  let n = 0;
  const made = secret((into) => into.fill(n++ === 0 ? 255 : 0));
  expect(made).toBe("aaaa-aaaa-aaaa-aaaa-aaaa");
});
