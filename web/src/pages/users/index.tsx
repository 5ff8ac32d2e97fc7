import { useInfiniteQuery } from "@tanstack/react-query";
import { UserPlus, Users as UsersIcon } from "lucide-react";
import { useState } from "react";
import { api, got, type Schemas } from "@/api/client";
import { useMay, useMe } from "@/api/me";
import { Button } from "@/kit/button";
import { Cells, List, pages } from "@/kit/list";
import { Menu } from "@/kit/menu";
import { Empty } from "@/kit/note";
import { Page } from "@/kit/page";
import { RoleBadge } from "@/kit/roles";
import { Badge } from "@/kit/state";
import { Ago } from "@/kit/time";
import { AddUser, DeleteUser, EditUser, KeepOut, SetPassword } from "./deeds";

export type User = Schemas["User"];

// What is being done, and with whom.
type Deed = { kind: "add" } | { kind: "edit" | "password" | "out" | "delete"; user: User };

// Users is who there is, and what they may do everywhere.
export function Users() {
  const may = useMay();
  const [deed, setDeed] = useState<Deed>();
  const query = useInfiniteQuery({
    queryKey: ["users"],
    queryFn: async ({ pageParam, signal }) =>
      got(await api.GET("/api/v1/users", { params: { query: { limit: 100, cursor: pageParam } }, signal })),
    ...pages,
  });
  const close = () => setDeed(undefined);
  return (
    <Page
      title="Users"
      about="Roles hold in all projects. What somebody may do in one project alone is told in that project."
      wide
      actions={
        may("users.write") && (
          <Button look="main" onClick={() => setDeed({ kind: "add" })}>
            <UserPlus aria-hidden size={16} /> Add a user
          </Button>
        )
      }
    >
      <List
        query={query}
        label="Users"
        columns={5}
        height={61}
        head={
          <>
            <Cells of={["User", "Role"]} />
            <th scope="col" className="max-sm:hidden">
              Last signed in
            </th>
            <th scope="col" className="max-sm:hidden">
              Added
            </th>
            <th scope="col">
              <span className="sr-only">What to do</span>
            </th>
          </>
        }
        id={(u) => u.id}
        row={(u) => <Row user={u} act={(kind) => setDeed({ kind, user: u })} />}
        empty={<Empty icon={UsersIcon} title="Nobody is here yet" />}
      />
      {deed?.kind === "add" && <AddUser onClose={close} />}
      {deed?.kind === "edit" && <EditUser user={deed.user} onClose={close} />}
      {deed?.kind === "password" && <SetPassword user={deed.user} onClose={close} />}
      {deed?.kind === "out" && <KeepOut user={deed.user} onClose={close} />}
      {deed?.kind === "delete" && <DeleteUser user={deed.user} onClose={close} />}
    </Page>
  );
}

type Act = (kind: "edit" | "password" | "out" | "delete") => void;

function Row({ user, act }: { user: User; act: Act }) {
  const me = useMe();
  const may = useMay();
  const own = user.id === me.user.id;
  const writes = may("users.write");
  return (
    <>
      <td>
        <span className="font-medium">{user.name}</span> {own && <span className="text-soft">(you)</span>}{" "}
        {!user.active && <Badge tone="wait">kept out</Badge>}
        <span className="block break-all text-soft">{user.email}</span>
      </td>
      <td>
        <RoleBadge role={user.role} />
      </td>
      <td className="max-sm:hidden">
        {user.signed_in_at ? <Ago at={user.signed_in_at} /> : <span className="text-soft">never</span>}
      </td>
      <td className="max-sm:hidden">
        <Ago at={user.created_at} />
      </td>
      <td className="text-right">
        <Menu
          label={`What to do with ${user.email}`}
          choices={[
            writes && { label: "Change name and role", act: () => act("edit") },
            // One's own is changed where the old one is asked for.
            writes && !own && { label: "Set a password", act: () => act("password") },
            writes && { label: user.active ? "Keep out" : "Let in again", act: () => act("out") },
            writes && { label: "Delete", act: () => act("delete"), danger: true },
          ]}
        />
      </td>
    </>
  );
}
