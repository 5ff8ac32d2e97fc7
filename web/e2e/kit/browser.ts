import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { chromium } from "playwright-core";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    browser: string; // where it listens
    binary: string; // the program that is tested
  }
}

// found is the first of some programs that is in PATH.
function found(...names: string[]): string | undefined {
  for (const name of names) {
    for (const dir of (process.env.PATH ?? "").split(delimiter)) {
      const path = resolve(dir, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // it is not here
      }
    }
  }
  return undefined;
}

// One browser is started for all tests, and ends with them.
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const binary = resolve(process.env.GATHERING_BIN ?? join(import.meta.dirname, "../../../.cache/gathering-e2e"));
  if (!existsSync(binary)) {
    throw new Error(`there is no ${binary}: \`make test\` builds it, and GATHERING_BIN names another`);
  }
  const path = process.env.CHROMIUM ?? found("chromium", "chromium-browser", "google-chrome", "google-chrome-stable");
  if (!path) throw new Error("there is no Chromium: `make deps` sees to it, and CHROMIUM names another");
  const server = await chromium.launchServer({
    executablePath: path,
    // It cannot shut root into its sandbox.
    chromiumSandbox: process.getuid?.() !== 0,
  });
  project.provide("browser", server.wsEndpoint());
  project.provide("binary", binary);
  return () => server.close();
}
