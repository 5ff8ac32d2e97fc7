import { expect } from "vitest";
import { test } from "./kit/test";
import type { Visitor } from "./kit/visitor";

// focused is what has the focus, by its text.
const focused = (v: Visitor) => v.page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");

const press = async (v: Visitor, ...keys: string[]) => {
  for (const key of keys) await v.page.keyboard.press(key);
};

test("all pages are reached by keyboard", async ({ come }) => {
  const v = await come();
  await v.signIn();
  await v.open("/");
  await press(v, "Tab");
  expect(await focused(v)).toBe("To the content");
  await press(v, "Enter");
  expect(await v.page.evaluate(() => document.activeElement?.id)).toBe("main");

  await press(v, "Control+k");
  await v.page.getByRole("dialog", { name: "Search" }).waitFor();
  await v.shoot("palette");
  await v.page.keyboard.type("runs");
  await press(v, "Enter");
  await v.title("Runs");
  expect(await v.page.getByRole("dialog").count()).toBe(0);

  await press(v, "Control+k", "ArrowDown", "ArrowDown", "Enter"); // the third of the list
  await expect.poll(() => v.path).toBe("/runs");
  await press(v, "Control+k", "End", "Escape");
  await v.page.getByRole("dialog").waitFor({ state: "detached" });

  await v.page.getByRole("link", { name: "Pipelines" }).focus();
  await press(v, "Enter");
  await v.title("Pipelines");
});

test("the palette finds pipelines and runs", async ({ service, come }) => {
  const api = await service.as();
  const run = await api.run("name: sought\nnodes: {start: {kind: trigger}}\n");
  const v = await come();
  await v.signIn();
  await v.open("/");
  await press(v, "Control+k");
  await v.page.getByRole("option", { name: /^sought/ }).waitFor();
  await v.page.keyboard.type(run.id);
  await press(v, "Enter");
  await expect.poll(() => v.path).toBe(`/runs/${run.id}`);
});

test("a theme is chosen, kept, and there from the first", async ({ come }) => {
  const v = await come();
  await v.signIn();
  await v.open("/");
  const dark = () => v.page.evaluate(() => document.documentElement.classList.contains("dark"));
  expect(await dark()).toBe(false);
  await v.page.getByRole("button", { name: /admin$/ }).press("Enter");
  await v.page.getByRole("menuitemradio", { name: "Dark" }).press("Enter");
  await expect.poll(dark).toBe(true);

  // Whether the page is dark is looked at as soon as there is something to draw.
  await v.context.addInitScript(() => {
    const seen: boolean[] = [];
    Object.assign(globalThis, { seen });
    new MutationObserver((_, me) => {
      if (!document.body) return;
      seen.push(document.documentElement.classList.contains("dark"));
      me.disconnect();
    }).observe(document, { childList: true, subtree: true });
  });
  await v.page.reload();
  await v.settled();
  expect(await v.page.evaluate(() => (globalThis as unknown as { seen: boolean[] }).seen)).toEqual([true]);

  await v.page.getByRole("button", { name: /admin$/ }).press("Enter");
  await v.page.getByRole("menuitemradio", { name: "As the system" }).press("Enter");
  await expect.poll(dark).toBe(false);
  await v.page.emulateMedia({ colorScheme: "dark" });
  await expect.poll(dark).toBe(true);
});

test("on a phone the menu opens and closes", async ({ come }) => {
  const v = await come(undefined, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await v.signIn();
  await v.open("/");
  const menu = v.page.getByRole("navigation", { name: "Pages" });
  expect(await menu.isVisible()).toBe(false);
  await v.page.getByRole("button", { name: "Open the menu" }).tap();
  await v.shoot("menu phone");
  await menu.getByRole("link", { name: "Runs" }).tap();
  await v.title("Runs");
  expect(await menu.isVisible()).toBe(false);
  await v.page.getByRole("button", { name: "Search" }).tap();
  await v.page.getByRole("dialog", { name: "Search" }).waitFor();
});

test("nobody is offered what they may not do", async ({ service, come }) => {
  await (await service.as()).pipeline("name: read_only\nnodes: {start: {kind: trigger}}\n");
  const v = await come();
  await v.signIn(await service.user("viewer"));
  await v.open("/");
  const links = await v.page.getByRole("navigation", { name: "Pages" }).getByRole("link").allInnerTexts();
  expect(links.map((l) => l.trim())).toEqual([
    "Overview",
    "Pipelines",
    "Runs",
    "Dead letters",
    "Projects",
    "Breakers",
    "Models",
    "My account",
  ]);
  await press(v, "Control+k");
  await v.page.getByRole("option", { name: /^read_only/ }).waitFor();
  const offered = (await v.page.getByRole("option").allInnerTexts()).join("\n");
  expect(offered).not.toMatch(/New pipeline|Users|Audit|Settings/);
  await press(v, "Escape");
  for (const path of ["/", "/pipelines", "/runs", "/dead-letters", "/projects", "/breakers", "/providers"]) {
    await v.open(path);
    const main = v.page.locator("main");
    expect(
      await main.getByRole("button", { name: /new|run|redrive|dismiss|delete|trip|reset|add/i }).count(),
      path,
    ).toBe(0);
    expect(await main.getByRole("link", { name: /^new/i }).count(), path).toBe(0);
  }
});

test("a page that is not there says so", async ({ come }) => {
  const v = await come();
  await v.signIn();
  await v.page.goto(`${v.home}/nowhere/at/all`);
  await v.page.getByText("There is no such page").waitFor();
  await v.page.getByRole("link", { name: "To the overview" }).click();
  await v.title("Overview");
});
