import { mergeConfig } from "vitest/config";
import tests from "./vitest.config.ts";

// What is measured in a browser. It fails for nothing but what cannot be done.
const measures = mergeConfig(tests, {});
measures.test.include = ["e2e/**/*.measure.ts"];
export default measures;
