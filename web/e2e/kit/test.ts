import { type Browser, type BrowserContextOptions, chromium } from "playwright-core";
import { test as base, inject } from "vitest";
import { Service } from "./service";
import { Visitor } from "./visitor";

let browser: Promise<Browser> | undefined;

// theBrowser is the one of all tests.
function theBrowser(): Promise<Browser> {
  browser ??= chromium.connect(inject("browser"));
  return browser;
}

type Come = (home?: string, options?: BrowserContextOptions) => Promise<Visitor>;

// test has a service, which all tests of a file share, and visitors of it.
export const test = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads here that it needs no others
  .extend("service", { scope: "file" }, async ({}: object, { onCleanup }) => {
    const s = await Service.start();
    onCleanup(() => s.stop());
    return s;
  })
  // start starts another, such as one that nobody has set up.
  // biome-ignore lint/correctness/noEmptyPattern: as above
  .extend("start", async ({}: object, { onCleanup }) => {
    const started: Service[] = [];
    onCleanup(async () => {
      for (const s of started) await s.stop();
    });
    return async (options: Parameters<typeof Service.start>[0]) => {
      const s = await Service.start(options);
      started.push(s);
      return s;
    };
  })
  // come has somebody come with a browser of their own.
  .extend("come", async ({ service, task }, { onCleanup }): Promise<Come> => {
    const here: Visitor[] = [];
    onCleanup(async () => {
      if (task.result?.state === "fail") {
        for (const [i, v] of here.entries()) await v.shoot(`failed ${task.name} ${i}`);
      }
      const left = await Promise.allSettled(here.map((v) => v.leave()));
      for (const l of left) if (l.status === "rejected") throw l.reason;
    });
    return async (home = service.url, options = {}) => {
      const v = await Visitor.come(await theBrowser(), home, options);
      here.push(v);
      return v;
    };
  });
