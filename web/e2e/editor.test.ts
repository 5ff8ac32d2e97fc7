import { expect } from "vitest";
import { data } from "./kit/client";
import { failing } from "./kit/pipelines";
import { test } from "./kit/test";
import type { Visitor } from "./kit/visitor";

// write pastes a text in the place of what the YAML editor holds.
async function write(v: Visitor, text: string): Promise<void> {
  const yaml = v.page.getByLabel("Definition, as YAML");
  await yaml.click();
  await v.page.keyboard.press("ControlOrMeta+a");
  await yaml.evaluate((e, text) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", text);
    e.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
  }, text);
}

const nodes = (v: Visitor) => v.page.locator(".react-flow__node");

test("a pipeline is begun from a template, run, and watched", async ({ come }) => {
  const v = await come();
  await v.signIn();
  await v.open("/pipelines");
  await v.page
    .getByRole("link", { name: /New pipeline/ })
    .first()
    .click();
  await v.page.getByText("Summarise a text").click();
  await nodes(v).first().waitFor();
  await v.page.getByText("No faults").waitFor();
  await v.page.getByRole("button", { name: "Create", exact: true }).click();
  await v.page.waitForURL((u) => /\/pipelines\/pip_/.test(u.pathname));
  await v.page.getByRole("button", { name: "Run", exact: true }).click();
  const dialog = v.page.getByRole("dialog");
  await dialog.getByLabel(/text/i).first().fill("The river is high. The bridge is closed. The town waits for rain.");
  await dialog.getByRole("button", { name: "Run", exact: true }).click();
  await v.page.waitForURL((u) => u.pathname.startsWith("/runs/"));
  await v.page.locator("header").getByText("completed", { exact: true }).first().waitFor();
});

test("what is typed is drawn, what is wrong is told, and what is saved is a version", async ({ service, come }) => {
  const client = await service.as();
  const { id } = await client.pipeline(failing.replace("name: failing", "name: typed"));
  const v = await come();
  await v.signIn();
  await v.open(`/pipelines/${id}`);
  await expect.poll(() => nodes(v).count()).toBe(3);
  v.announce(/^400 POST .*\/validate$/); // is how faults are told
  const source = failing.replace("name: failing", "name: typed");
  await write(v, source.replace("needs: [read]", "needs: [raed]"));
  await v.page.getByText(/raed/).last().waitFor();
  await write(v, `${source}description: Another one\n`);
  await v.page.getByText("No faults").waitFor();
  await v.page.keyboard.press("ControlOrMeta+s");
  await expect
    .poll(async () => {
      const { items } = await data(client.api.GET("/api/v1/pipelines/{id}/versions", { params: { path: { id } } }));
      return items.length;
    })
    .toBe(2);
});

test("nodes are added, undone and deleted by keyboard", async ({ service, come }) => {
  const client = await service.as();
  const { id } = await client.pipeline("name: keys\nnodes:\n  start: {kind: trigger}\n");
  const v = await come();
  await v.signIn();
  await v.open(`/pipelines/${id}`);
  await expect.poll(() => nodes(v).count()).toBe(1);
  await v.page.getByPlaceholder("Add a node").fill("delay");
  await v.page.keyboard.press("Enter");
  await expect.poll(() => nodes(v).count()).toBe(2);
  await v.page
    .locator(".cm-content")
    .first()
    .getByText("kind: delay")
    .or(v.page.getByText("delay").first())
    .first()
    .waitFor();
  await v.page.getByRole("button", { name: /^Undo/ }).click();
  await expect.poll(() => nodes(v).count()).toBe(1);
  await v.page.getByRole("button", { name: /^Redo/ }).click();
  await expect.poll(() => nodes(v).count()).toBe(2);
});
