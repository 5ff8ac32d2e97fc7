import { Page } from "@/kit/page";

export function Audit() {
  return <Page title="Audit">…</Page>;
}
