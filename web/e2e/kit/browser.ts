import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    browser: string; // where it listens
    binary: string; // the program that is tested
  }
}

// One browser is started for all tests, and ends with them.
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const top = join(import.meta.dirname, "../../..");
  const binary = resolve(process.env.GATHERING_BIN ?? join(top, ".cache/gathering-e2e"));
  if (!existsSync(binary)) throw new Error(`there is no ${binary}: make web builds it`);
  const server = await chromium.launchServer({
    executablePath: execFileSync(join(top, "scripts/deps.sh"), ["browser"], { encoding: "utf8" }).trim(),
    // It cannot shut root into its sandbox.
    chromiumSandbox: process.getuid?.() !== 0,
  });
  project.provide("browser", server.wsEndpoint());
  project.provide("binary", binary);
  return () => server.close();
}
