import { expect } from "vitest";
import { proxy } from "./kit/proxy";
import { admin, password } from "./kit/service";
import { test } from "./kit/test";

test.for([
  { how: "takes the path away", strip: true },
  { how: "leaves the path", strip: false },
])("it works behind a proxy that $how", async ({ strip }, { start, come, onTestFinished }) => {
  const s = await start({ path: "/gathering" });
  const api = await s.as();
  const p = await proxy(s.url, "/gathering", strip);
  onTestFinished(p.close);
  const v = await come(p.url);
  v.announce(/^404 GET \/favicon.ico$/);
  await v.open("/runs");
  expect(v.path).toBe("/sign-in?next=%2Fruns");
  await v.page.getByLabel("E-mail").fill(admin);
  await v.page.getByLabel("Password").fill(password);
  await v.page.keyboard.press("Enter");
  await v.page.getByText("No runs yet").waitFor();
  expect(v.path).toBe("/runs");
  for (const c of await v.context.cookies()) expect(c.path).toMatch(/^\/gathering\//);

  // What happens is heard of through the proxy, too.
  const run = await api.run("name: proxied\nnodes: {start: {kind: trigger}}\n");
  await v.page.getByRole("link", { name: "proxied" }).click({ timeout: 10_000 });
  await expect.poll(() => v.path).toBe(`/runs/${run.id}`);
  await v.page.reload();
  await v.settled();
  v.announce(/^401 GET/);
  await v.context.clearCookies({ name: "gathering_access" });
  await v.open("/pipelines");
  await v.title("Pipelines");
});
