import { Page } from "@/kit/page";

export function DeadLetters() {
  return <Page title="DeadLetters">…</Page>;
}
