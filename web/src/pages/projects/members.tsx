import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { UserPlus, Users } from "lucide-react";
import { useId, useState } from "react";
import { api, got, once, type Schemas } from "@/api/client";
import { useMay, useMe } from "@/api/me";
import { Button } from "@/kit/button";
import { Field } from "@/kit/field";
import { FormDialog } from "@/kit/form";
import { Cells, List, pages } from "@/kit/list";
import { Menu } from "@/kit/menu";
import { Empty } from "@/kit/note";
import { ChooseRoles, type MemberRole, RoleBadge } from "@/kit/roles";
import { Ago } from "@/kit/time";
import { tell, tellFault } from "@/kit/toast";
import type { Project } from ".";

type Member = Schemas["Member"];

// useChanged has members asked for again, and what one may do oneself.
function useChanged() {
  const queries = useQueryClient();
  const me = useMe();
  return async (user?: string) => {
    await queries.invalidateQueries({ queryKey: ["members"] });
    if (user === me.user.id) await queries.invalidateQueries({ queryKey: ["me"] });
  };
}

async function setMember(project: string, user: string, roles: MemberRole[]): Promise<void> {
  await api.PUT("/api/v1/projects/{id}/members/{user}", {
    params: { path: { id: project, user }, header: once() },
    body: { roles },
  });
}

// Members are who has roles in a project.
export function Members({ project }: { project: Project }) {
  const may = useMay();
  const changed = useChanged();
  const [adding, setAdding] = useState(false);
  const [changing, setChanging] = useState<Member>();
  const query = useInfiniteQuery({
    queryKey: ["members", project.id],
    queryFn: async ({ pageParam, signal }) =>
      got(
        await api.GET("/api/v1/projects/{id}/members", {
          params: { path: { id: project.id }, query: { limit: 100, cursor: pageParam } },
          signal,
        }),
      ),
    ...pages,
  });
  const writes = may("projects.write", project.id);
  const remove = async (m: Member) => {
    try {
      await api.DELETE("/api/v1/projects/{id}/members/{user}", {
        params: { path: { id: project.id, user: m.user }, header: once() },
      });
      await changed(m.user);
      tell(`${m.email} is no member any more`, () => {
        setMember(project.id, m.user, rolesOf(m))
          .then(() => changed(m.user))
          .catch(tellFault);
      });
    } catch (e) {
      tellFault(e);
    }
  };
  return (
    <section aria-labelledby="members" className="flex flex-col gap-3">
      <header className="flex flex-wrap items-center gap-3">
        <div className="min-w-0 flex-1 basis-64">
          <h2 id="members" className="font-medium">
            Members
          </h2>
          <p className="text-soft">They have their roles in this project beside the role that they have in all.</p>
        </div>
        {writes && (
          <Button look="main" onClick={() => setAdding(true)}>
            <UserPlus aria-hidden size={16} /> Add a member
          </Button>
        )}
      </header>
      <div className="flex max-h-[32rem] flex-col">
        <List
          query={query}
          label="Members"
          columns={4}
          height={61}
          head={
            <>
              <Cells of={["Member", "Roles in this project"]} />
              <th scope="col" className="max-sm:hidden">
                Since
              </th>
              <th scope="col">
                <span className="sr-only">What to do</span>
              </th>
            </>
          }
          id={(m) => m.user}
          row={(m) => (
            <>
              <td>
                <span className="font-medium">{m.name}</span>
                <span className="block break-all text-soft">{m.email}</span>
              </td>
              <td>
                <span className="flex flex-wrap gap-1">
                  {m.roles?.map((r) => (
                    <RoleBadge key={r} role={r} />
                  ))}
                </span>
              </td>
              <td className="max-sm:hidden">
                <Ago at={m.created_at} />
              </td>
              <td className="text-right">
                <Menu
                  label={`What to do with ${m.email}`}
                  choices={[
                    writes && { label: "Change roles", act: () => setChanging(m) },
                    writes && { label: "Remove", act: () => void remove(m), danger: true },
                  ]}
                />
              </td>
            </>
          )}
          empty={
            <div className="rounded-lg border bg-card">
              <Empty icon={Users} title="No members">
                Whoever has a role in all projects has it here, too. Members have more here than elsewhere: add one to
                let somebody work in this project alone.
              </Empty>
            </div>
          }
        />
      </div>
      {adding && <AddMember project={project} onClose={() => setAdding(false)} />}
      {changing && <ChangeMember project={project} member={changing} onClose={() => setChanging(undefined)} />}
    </section>
  );
}

function rolesOf(m: Member): MemberRole[] {
  return (m.roles ?? []) as MemberRole[];
}

// atLeastOne is said before anything is sent: a member without a role is none.
function atLeastOne(roles: MemberRole[]): void {
  if (roles.length === 0) throw new Error("Choose a role. Without one, they are no member: remove them instead.");
}

function AddMember({ project, onClose }: { project: Project; onClose: () => void }) {
  const may = useMay();
  const changed = useChanged();
  const list = useId();
  const [email, setEmail] = useState("");
  const [roles, setRoles] = useState<MemberRole[]>(["viewer"]);
  const users = useQuery({
    queryKey: ["users", "names"],
    queryFn: async ({ signal }) => got(await api.GET("/api/v1/users", { params: { query: { limit: 500 } }, signal })),
    enabled: may("users.read"),
  });
  const act = async () => {
    atLeastOne(roles);
    const member = got(
      await api.POST("/api/v1/projects/{id}/members", {
        params: { path: { id: project.id }, header: once() },
        body: { email, roles },
      }),
    );
    await changed(member.user);
  };
  return (
    <FormDialog title={`Add a member to ${project.name}`} verb="Add" act={act} onClose={onClose}>
      {(problem) => (
        <>
          <Field
            label="E-mail"
            hint="Of somebody who is a user already. An administrator adds those who are not."
            problem={problem?.field("email")}
          >
            {(props) => (
              <input
                {...props}
                className="input"
                type="email"
                autoComplete="off"
                list={list}
                required
                maxLength={254}
                value={email}
                onChange={(e) => setEmail(e.target.value)}
              />
            )}
          </Field>
          <datalist id={list}>
            {users.data?.items.map((u) => (
              <option key={u.id} value={u.email}>
                {u.name}
              </option>
            ))}
          </datalist>
          <ChooseRoles roles={roles} change={setRoles} />
        </>
      )}
    </FormDialog>
  );
}

interface ChangeMemberProps {
  project: Project;
  member: Member;
  onClose: () => void;
}

function ChangeMember({ project, member, onClose }: ChangeMemberProps) {
  const changed = useChanged();
  const [roles, setRoles] = useState(rolesOf(member));
  const act = async () => {
    atLeastOne(roles);
    await setMember(project.id, member.user, roles);
    await changed(member.user);
  };
  return (
    <FormDialog title={`Roles of ${member.email}`} verb="Change" act={act} onClose={onClose}>
      {() => <ChooseRoles roles={roles} change={setRoles} />}
    </FormDialog>
  );
}
