import { Page } from "@/kit/page";

export function RunViewer() {
  return <Page title="RunViewer">…</Page>;
}
