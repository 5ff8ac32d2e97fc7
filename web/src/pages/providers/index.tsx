import { Page } from "@/kit/page";

export function Providers() {
  return <Page title="Providers">…</Page>;
}
