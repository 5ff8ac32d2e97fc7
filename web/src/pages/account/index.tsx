import { Page } from "@/kit/page";

export function Account() {
  return <Page title="Account">…</Page>;
}
