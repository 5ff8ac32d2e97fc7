import axe from "axe-core";
import { expect } from "vitest";
import type { Service } from "./kit/service";
import { test } from "./kit/test";
import type { Visitor } from "./kit/visitor";
import { empty, fill, filled, type Looked } from "./pages";

// faults are what axe finds on the page.
async function faults(v: Visitor): Promise<string[]> {
  const { violations } = await v.page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
  return violations.flatMap((f) => f.nodes.map((n) => `${f.id}: ${n.target.join(" ")}: ${n.failureSummary}`));
}

// sideways is what is wider than the page, and can be scrolled to only sideways.
async function sideways(v: Visitor): Promise<string[]> {
  return v.page.evaluate(() =>
    [document.documentElement, document.querySelector("main")]
      .filter((e) => e && e.scrollWidth > e.clientWidth)
      .map((e) => `${e?.tagName} is ${e?.scrollWidth} wide in ${e?.clientWidth}`),
  );
}

// look looks at a page, and returns what is wrong with it.
async function look(v: Visitor, at: Looked, path: string, when: string): Promise<string[]> {
  const found: string[] = [];
  await v.page.setViewportSize({ width: 1280, height: 800 });
  for (const theme of ["light", "dark"] as const) {
    await v.page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
    if (theme === "light") await v.open(path);
    found.push(...(await faults(v)).map((f) => `${at.name}, ${theme}: ${f}`));
    await v.shoot(`${at.name} ${when} ${theme}`);
  }
  await v.page.setViewportSize({ width: 390, height: 844 });
  const phone = [...(await sideways(v)), ...(await faults(v))];
  found.push(...phone.map((f) => `${at.name}, on a phone: ${f}`));
  await v.shoot(`${at.name} ${when} phone`);
  return found;
}

async function lookAtAll(v: Visitor, pages: Looked[], s: Service, when: string): Promise<void> {
  await v.context.addInitScript({ content: axe.source });
  const found: string[] = [];
  for (const at of pages)
    found.push(...(await look(v, at, typeof at.path === "string" ? at.path : await at.path(s), when)));
  expect(found).toEqual([]);
}

test("pages before anybody is signed in", async ({ service, come }) => {
  const pages = [
    { name: "sign in", path: "/sign-in" },
    { name: "set up", path: "/set-up" },
  ];
  await lookAtAll(await come(), pages, service, "");
});

test("pages with nothing on them", { timeout: 120_000 }, async ({ service, come }) => {
  const v = await come();
  await v.signIn();
  await lookAtAll(v, empty, service, "empty");
});

test("pages with something on them", { timeout: 120_000 }, async ({ service, come }) => {
  await fill(service);
  const v = await come();
  await v.signIn();
  await lookAtAll(v, filled, service, "");
});

test("sign-in and the overview are small", async ({ come }) => {
  const v = await come();
  let bytes = 0;
  const counted: Promise<void>[] = [];
  const sizes: string[] = [];
  v.context.on("response", (r) => {
    const script = r.headers()["content-type"]?.startsWith("text/javascript");
    if (!script) return;
    const add = async () => {
      const { responseBodySize } = await r.request().sizes();
      bytes += responseBodySize;
      sizes.push(`${new URL(r.url()).pathname} ${responseBodySize}`);
    };
    counted.push(add());
  });
  await v.open("/sign-in");
  await v.signIn();
  await v.page.evaluate(() => localStorage.setItem("signed-in", "yes"));
  await v.open("/");
  await v.page.waitForLoadState("load");
  await Promise.all(counted);
  expect(sizes.length).toBeGreaterThan(3);
  expect(bytes, sizes.join("\n")).toBeLessThan(250_000);
});
