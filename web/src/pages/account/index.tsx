import { Page } from "@/kit/page";
import { ChangePassword, Profile } from "./profile";
import { Sessions } from "./sessions";
import { Tokens } from "./tokens";

// Account is what somebody sees to about themselves.
export function Account() {
  return (
    <Page title="My account">
      <div className="grid items-start gap-4 lg:grid-cols-2">
        <Profile />
        <ChangePassword />
      </div>
      <Sessions />
      <Tokens />
    </Page>
  );
}
