import { Page } from "@/kit/page";

export function Pipelines() {
  return <Page title="Pipelines">…</Page>;
}
