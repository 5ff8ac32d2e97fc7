import { Page } from "@/kit/page";

export function Users() {
  return <Page title="Users">…</Page>;
}
