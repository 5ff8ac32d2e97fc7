import { defineConfig } from "vitest/config";

// The tests in a browser, of a service as it is run. They come one after the
// other: each has a browser's context of its own, and all share the browser.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["**/*.test.ts"],
    globalSetup: "kit/browser.ts",
    maxWorkers: 1,
    isolate: false,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
