import { Page } from "@/kit/page";

export function Settings() {
  return <Page title="Settings">…</Page>;
}
