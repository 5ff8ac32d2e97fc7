import { expect } from "vitest";
import { admin, password } from "./kit/service";
import { test } from "./kit/test";
import type { Visitor } from "./kit/visitor";

async function fill(v: Visitor, fields: Record<string, string>): Promise<void> {
  for (const [label, value] of Object.entries(fields)) await v.page.getByLabel(label).fill(value);
}

test("the printed link sets the service up", async ({ start, come }) => {
  const s = await start({ fresh: true });
  await expect.poll(() => s.said.join("\n")).toContain("open http");
  const link = /open (http\S+#\S+)/.exec(s.said.join("\n"))?.[1] ?? "";
  const v = await come(s.url);
  await v.page.goto(link);
  await fill(v, { "E-mail": admin, Name: "Ada", Password: password });
  expect(await v.page.getByLabel("Set-up code").inputValue()).toBe(new URL(link).hash.slice(1));
  expect(new URL(v.page.url()).hash).toBe(""); // the code does not stay in the history
  await v.page.getByRole("button", { name: "Set up" }).click();
  await v.page.getByRole("heading", { name: "Overview" }).waitFor();
  expect(v.path).toBe("/");
  await v.page.getByRole("button", { name: "Ada admin" }).waitFor();
});

test("a wrong set-up code is told", async ({ start, come }) => {
  const s = await start({ fresh: true });
  const v = await come(s.url);
  v.announce(/^403 POST \/api\/v1\/setup$/);
  await v.open("/set-up");
  await fill(v, { "Set-up code": "wrong", "E-mail": admin, Password: password });
  await v.page.keyboard.press("Enter");
  await v.page.getByRole("alert").getByText("the set-up code is wrong").waitFor();
});

test("one signs in, goes where one wanted to, and signs out", async ({ come }) => {
  const v = await come();
  await v.open("/runs?state=completed");
  expect(v.path).toBe("/sign-in?next=%2Fruns%3Fstate%3Dcompleted");
  await fill(v, { "E-mail": admin, Password: password });
  await v.page.keyboard.press("Enter");
  await v.page.getByRole("heading", { name: "Runs" }).waitFor();
  expect(v.page.url()).toBe(`${v.home}/runs?state=completed`);
  const cookies = await v.context.cookies();
  expect(cookies.map((c) => c.name).sort()).toEqual(["gathering_access", "gathering_refresh"]);
  for (const c of cookies) expect(c).toMatchObject({ httpOnly: true, sameSite: "Strict" });
  await v.page.getByRole("button", { name: /admin$/ }).click();
  await v.page.getByRole("menuitem", { name: "Sign out" }).click();
  await v.page.getByRole("heading", { name: "Sign in" }).waitFor();
  expect(await v.context.cookies()).toEqual([]);
  await v.open("/runs");
  expect(v.path).toMatch(/^\/sign-in/);
});

test("a wrong password is told, and what was typed stays", async ({ come }) => {
  const v = await come();
  v.announce(/^401 POST \/api\/v1\/auth\/login$/);
  await v.open("/sign-in");
  await fill(v, { "E-mail": admin, Password: "not this one at all" });
  await v.page.keyboard.press("Enter");
  await v.page.getByRole("alert").waitFor();
  expect(await v.page.getByLabel("E-mail").inputValue()).toBe(admin);
  expect(v.path).toBe("/sign-in");
});

test("nobody is led to another host after signing in", async ({ come }) => {
  for (const next of ["//example.com/", "https://example.com/", "/\\example.com/", "javascript:alert(1)"]) {
    const v = await come();
    await v.open(`/sign-in?next=${encodeURIComponent(next)}`);
    await fill(v, { "E-mail": admin, Password: password });
    await v.page.keyboard.press("Enter");
    await expect.poll(() => v.path).not.toMatch(/^\/sign-in/);
    expect(new URL(v.page.url()).origin).toBe(v.home);
  }
});
