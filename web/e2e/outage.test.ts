import { expect } from "vitest";
import { test } from "./kit/test";

test("a page heals after the service was killed, and shows what happened meanwhile", async ({ start, come }) => {
  const s = await start({});
  const { id } = await (await s.as()).pipeline("name: meanwhile\nnodes: {start: {kind: trigger}}\n");
  const v = await come(s.url);
  await v.signIn();
  await v.open("/runs");
  await v.page.getByText("No runs yet").waitFor();
  const lost = v.page.getByText("The service does not answer.");

  v.announce(/net::ERR_/);
  await s.kill();
  await lost.waitFor();
  await v.page.getByText("No runs yet").waitFor(); // what is known stays

  await s.restart();
  await (await s.as()).start(id);
  await lost.waitFor({ state: "detached", timeout: 20_000 });
  await v.page.getByRole("link", { name: "meanwhile" }).waitFor();
  expect(await v.page.getByRole("row").nth(1).getByRole("cell").first().textContent()).toBe("completed");

  // And it hears again of what happens.
  await (await s.as()).start(id);
  await expect.poll(() => v.page.getByRole("link", { name: "meanwhile" }).count(), { timeout: 10_000 }).toBe(2);
});

test("a page that is opened while nobody answers says so", async ({ start, come }) => {
  const s = await start({});
  const v = await come(s.url);
  await v.signIn();
  await v.open("/");
  v.announce(/net::ERR_/);
  await s.kill();
  await v.page.getByRole("link", { name: "Runs" }).click();
  await v.page.getByText("The service does not answer.").waitFor();
  await s.restart();
  await v.page.getByText("No runs yet").waitFor({ timeout: 20_000 });
});
