import { expect } from "vitest";
import { data } from "./kit/client";
import { admin, password } from "./kit/service";
import { test } from "./kit/test";
import type { Visitor } from "./kit/visitor";

// lose takes the access token away, as time does.
async function lose(v: Visitor): Promise<void> {
  await v.context.clearCookies({ name: "gathering_access" });
}

// renewals counts how often the session was renewed, from now on.
function renewals(v: Visitor): () => number {
  let n = 0;
  v.context.on("request", (r) => {
    if (r.url().endsWith("/api/v1/auth/refresh")) n++;
  });
  return () => n;
}

test("a session is renewed by itself", async ({ come }) => {
  const v = await come();
  v.announce(/^401 GET/);
  await v.signIn();
  await v.open("/");
  const count = renewals(v);
  await lose(v);
  await v.page.getByRole("link", { name: "Runs" }).click();
  await v.page.getByText("No runs yet").waitFor();
  expect(count()).toBe(1);
  await lose(v);
  await v.page.reload();
  await v.page.getByText("No runs yet").waitFor();
  expect(count()).toBe(2);
});

test("tabs that renew it at once do not end it", async ({ come }) => {
  const v = await come();
  v.announce(/^401 GET/);
  await v.signIn();
  await v.open("/runs");
  const tabs = [v.page, await v.tab("/runs"), await v.tab("/")];
  const count = renewals(v);
  for (let round = 1; round <= 3; round++) {
    await lose(v);
    await Promise.all(tabs.map((t) => t.reload()));
    await Promise.all(tabs.map((t) => v.settled(t)));
    expect(tabs.map((t) => t.url())).toEqual([`${v.home}/runs`, `${v.home}/runs`, `${v.home}/`]);
    expect(count()).toBe(round);
  }
});

test("who is signed out elsewhere signs in again, and is back where they were", async ({ service, come }) => {
  const v = await come();
  v.announce(/^401 /);
  await v.signIn(await service.user("operator"));
  await v.open("/runs?state=completed");
  const { api } = await service.as("operator@example.com");
  await data(api.POST("/api/v1/auth/logout-all"));
  await v.title("Sign in");
  await v.page.getByLabel("E-mail").fill(admin);
  await v.page.getByLabel("Password").fill(password);
  await v.page.keyboard.press("Enter");
  await v.title("Runs");
  expect(v.path).toBe("/runs?state=completed");
  await v.page.getByRole("button", { name: "ada admin" }).waitFor(); // and nothing of the other is left
});
