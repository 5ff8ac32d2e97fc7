import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect } from "vitest";
import { asking, failing, waiting, wide } from "./kit/pipelines";
import { test } from "./kit/test";
import type { Visitor } from "./kit/visitor";

// state waits until the run that is shown has come to a state.
async function state(v: Visitor, words: string): Promise<void> {
  await v.page.locator("header").getByText(words, { exact: true }).first().waitFor();
}

// node opens a node of the run that is shown, and returns what tells of it.
async function node(v: Visitor, id: string) {
  await v.page.locator(`#node-${id}`).click();
  return v.page
    .getByRole("complementary", { name: `Node ${id}` })
    .or(v.page.getByLabel(`Node ${id}`))
    .first();
}

test("a run is watched while it goes on, paused, resumed and cancelled", async ({ service, come }) => {
  const run = await (await service.as()).run(waiting, {}, "0s");
  const v = await come();
  await v.signIn();
  await v.open(`/runs/${run.id}`);
  await state(v, "waiting");
  await v.page.locator('.react-flow__node[data-id="pause"]').getByText("waiting").waitFor();
  await v.page.locator('.react-flow__node[data-id="after"]').getByText("pending").waitFor();
  await v.page.getByRole("button", { name: "Pause", exact: true }).click();
  await state(v, "paused");
  await v.page.getByRole("button", { name: "Resume", exact: true }).click();
  await state(v, "waiting");
  await v.page.getByRole("button", { name: "Cancel", exact: true }).click();
  await v.page.getByRole("button", { name: "Cancel the run" }).click();
  await state(v, "cancelled");
  expect(await (await service.as()).state(run.id)).toBe("cancelled");
});

test("a run that failed says why, is redriven with another input, and forked", async ({ service, come }) => {
  const run = await (await service.as()).run(failing, { text: "one" });
  const v = await come();
  await v.signIn();
  await v.open(`/runs/${run.id}`);
  await state(v, "failed");
  const panel = await node(v, "read");
  await panel
    .getByText(/number|convert|int/)
    .first()
    .waitFor();
  await v.page.getByRole("button", { name: "Redrive", exact: true }).click();
  const dialog = v.page.getByRole("dialog");
  await dialog.getByLabel("Input").fill('{"text": "21"}');
  await dialog.getByRole("button", { name: "Redrive" }).click();
  await v.page.waitForURL((u) => u.pathname.startsWith("/runs/") && !u.pathname.endsWith(run.id));
  await state(v, "completed");
  const second = v.path;
  await v.page.getByRole("tab", { name: "Input and output" }).click();
  await v.page.getByText("42", { exact: true }).waitFor();
  await v.page.getByRole("button", { name: "Fork", exact: true }).click();
  await v.page.getByLabel("Repeat from").selectOption("told");
  await v.page.getByRole("dialog").getByRole("button", { name: "Fork" }).click();
  await v.page.waitForURL((u) => u.pathname.startsWith("/runs/") && !second.startsWith(u.pathname));
  await state(v, "completed");
});

test("an outcome that nobody knows is decided", async ({ service, come }) => {
  const hangsUp = createServer((socket) => socket.once("data", () => socket.destroy())).listen(0, "127.0.0.1");
  await once(hangsUp, "listening");
  try {
    const url = `http://127.0.0.1:${(hangsUp.address() as AddressInfo).port}/`;
    const run = await (await service.as()).run(asking(url), {}, "0s");
    const v = await come();
    await v.signIn();
    await v.open(`/runs/${run.id}`);
    await v.page.locator('.react-flow__node[data-id="order"]').getByText("unknown outcome").waitFor();
    const panel = await node(v, "order");
    await panel.getByRole("button", { name: "It was done" }).click();
    const dialog = v.page.getByRole("dialog");
    await dialog.getByLabel("Its output").fill('{"ordered": 7}');
    await dialog.getByRole("button", { name: "Count it as done" }).click();
    await state(v, "completed");
    await v.page.getByRole("tab", { name: "Input and output" }).click();
    await v.page.getByText("ordered").first().waitFor();
  } finally {
    hangsUp.close();
  }
});

test("a run is looked at as it was", async ({ service, come }) => {
  const run = await (await service.as()).run(failing.replace("name: failing", "name: past"), { text: "3" });
  const v = await come();
  await v.signIn();
  await v.open(`/runs/${run.id}`);
  await state(v, "completed");
  const slider = v.page.getByRole("slider", { name: "As it was after event" });
  await slider.focus();
  await slider.press("Home");
  await v.page.locator('.react-flow__node[data-id="told"]').getByText("pending").waitFor();
  await slider.press("End");
  await v.page.locator('.react-flow__node[data-id="told"]').getByText("completed").waitFor();
});

test("a page of a run goes on where it was after the service was killed", async ({ start, come }) => {
  const s = await start({});
  const run = await (await s.as()).run(waiting.replace("1h", "4s"), {}, "0s");
  const v = await come(s.url);
  v.announce(/ERR_|5\d\d|error/);
  await v.signIn();
  await v.open(`/runs/${run.id}`);
  await state(v, "waiting");
  await s.restart();
  await state(v, "completed");
  await v.page.getByRole("tab", { name: "Log" }).click();
  const events = await v.page.getByText("node.completed").count();
  expect(events).toBeGreaterThan(0);
});

test("a large run is shown", { timeout: 60_000 }, async ({ service, come }) => {
  const run = await (await service.as()).run(wide(499), {}, "60s");
  const v = await come();
  await v.signIn();
  await v.open(`/runs/${run.id}`);
  await state(v, "completed");
  await v.page.getByRole("button", { name: "List" }).click();
  await v.page.getByLabel("Find nodes").fill("n498");
  await v.page.getByRole("list", { name: "Nodes" }).getByText("n498").waitFor();
  await v.page.getByRole("tab", { name: "Log" }).click();
  expect(await v.page.getByRole("listitem").count()).toBeLessThan(200); // of some thousand events
});
