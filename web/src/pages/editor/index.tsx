import { Page } from "@/kit/page";

export function Editor() {
  return <Page title="Pipeline">…</Page>;
}

export function NewPipeline() {
  return <Page title="New pipeline">…</Page>;
}
