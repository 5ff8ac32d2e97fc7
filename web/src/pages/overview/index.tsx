import { Page } from "@/kit/page";

export function Overview() {
  return <Page title="Overview">…</Page>;
}
