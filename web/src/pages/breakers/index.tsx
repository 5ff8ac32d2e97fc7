import { Page } from "@/kit/page";

export function Breakers() {
  return <Page title="Breakers">…</Page>;
}
