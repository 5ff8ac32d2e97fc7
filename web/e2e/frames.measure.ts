import { big } from "./kit/pipelines";
import { test } from "./kit/test";
import type { Visitor } from "./kit/visitor";

interface Frames {
  begin: () => void;
  end: () => number[]; // how long each frame took, in milliseconds
}

declare global {
  var frameTimes: Frames;
}

// measure prints how long frames take while something is done.
async function measure(v: Visitor, what: string, act: () => Promise<void>): Promise<void> {
  await v.page.evaluate(() => {
    const took: number[] = [];
    let last = performance.now();
    let next = 0;
    const tick = (now: number) => {
      took.push(now - last);
      last = now;
      next = requestAnimationFrame(tick);
    };
    globalThis.frameTimes = {
      begin: () => {
        next = requestAnimationFrame(tick);
      },
      end: () => {
        cancelAnimationFrame(next);
        return took.slice(1).sort((a, b) => a - b);
      },
    };
    globalThis.frameTimes.begin();
  });
  await act();
  const took = await v.page.evaluate(() => globalThis.frameTimes.end());
  const at = (part: number) => `${took[Math.min(took.length - 1, Math.floor(took.length * part))]?.toFixed(1)} ms`;
  process.stdout.write(`${what}: ${took.length} frames, p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)}\n`);
}

test("frames of a run of 500 nodes and 10,000 events", { timeout: 120_000 }, async ({ service, come }) => {
  const run = await (await service.as()).run(big(499, 9), {}, "60s");
  const v = await come();
  await v.signIn();
  const begun = performance.now();
  await v.open(`/runs/${run.id}`);
  await v.page.locator("header").getByText("completed").first().waitFor();
  process.stdout.write(`shown whole after ${Math.round(performance.now() - begun)} ms\n`);
  const { mouse } = v.page;
  await measure(v, "moving the graph", async () => {
    await mouse.move(600, 400);
    await mouse.down();
    for (let i = 0; i < 60; i++) await mouse.move(600 + i * 3, 400 + i);
    await mouse.up();
  });
  await measure(v, "zooming", async () => {
    for (let i = 0; i < 30; i++) await mouse.wheel(0, i % 2 ? -120 : 120);
  });
  await measure(v, "going through the past", async () => {
    const slider = v.page.getByRole("slider", { name: "As it was after event" });
    await slider.press("Home");
    for (let i = 0; i < 20; i++) await slider.press("PageUp");
  });
  await v.page.getByRole("tab", { name: "Log" }).click();
  await measure(v, "scrolling the log", async () => {
    await mouse.move(700, 500);
    for (let i = 0; i < 60; i++) await mouse.wheel(0, 800);
  });
});
