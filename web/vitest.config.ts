import { defineConfig } from "vitest/config";

// The tests that need no browser, each beside what it tests.
export default defineConfig({
  resolve: { alias: { "@": new URL("./src", import.meta.url).pathname } },
  test: { include: ["src/**/*.test.{ts,tsx}"], setupFiles: "vitest.setup.ts" },
});
