import { Page } from "@/kit/page";
import { Appearance } from "./appearance";
import { Limits } from "./form";
import { Health } from "./health";

// Settings are how the service is set up, how it is, and how it looks.
export function Settings() {
  return (
    <Page title="Settings">
      <Limits />
      <Health />
      <Appearance />
    </Page>
  );
}
