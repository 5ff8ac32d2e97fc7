import { defineConfig } from "vitest/config";

// The tests in a browser, of a service as it is run. They come one after the
// other: each has a browser's context of its own, and all share the browser.
export default defineConfig({
  test: {
    include: ["e2e/**/*.test.ts"],
    globalSetup: new URL("kit/browser.ts", import.meta.url).pathname,
    maxWorkers: 1,
    isolate: false,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
