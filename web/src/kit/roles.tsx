import { useId } from "react";
import { Badge } from "./state";

export type Role = "admin" | "operator" | "editor" | "viewer" | "none";
export type MemberRole = Exclude<Role, "none">;

// What a role may do everywhere, and in the projects that somebody is a member of.
const everywhere: Record<Role, string> = {
  admin: "everything: people, settings and models, too",
  operator: "looks; starts, steers, redrives and forks runs; trips and resets breakers",
  editor: "looks; makes, changes and publishes pipelines; starts nothing",
  viewer: "looks at pipelines and runs",
  none: "nothing but what they may as a member of projects",
};
const within: Record<MemberRole, string> = {
  admin: "everything in this project: its members, its audit trail and the deletion of its runs, too",
  operator: "looks; starts, steers, redrives and forks its runs",
  editor: "looks; makes, changes and publishes its pipelines; starts nothing",
  viewer: "looks at its pipelines and runs",
};

export function RoleBadge({ role }: { role: string }) {
  return <Badge tone={role === "admin" ? "busy" : "none"}>{role}</Badge>;
}

// ChooseRole chooses what somebody may do everywhere, and says what that is.
export function ChooseRole({ role, change }: { role: Role; change: (role: Role) => void }) {
  const id = useId();
  return (
    <fieldset className="flex flex-col gap-1">
      <legend className="mb-1 text-xs font-medium text-soft">Role in all projects</legend>
      {(Object.keys(everywhere) as Role[]).map((r) => (
        <label key={r} className="flex items-baseline gap-2">
          <input type="radio" name={id} checked={role === r} onChange={() => change(r)} className="accent-accent" />
          <span>
            <span className="font-medium">{r}</span> <span className="text-soft">{everywhere[r]}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

interface ChooseRolesProps {
  roles: MemberRole[];
  change: (roles: MemberRole[]) => void;
}

// ChooseRoles chooses what somebody may do in a project: one role or several.
export function ChooseRoles({ roles, change }: ChooseRolesProps) {
  return (
    <fieldset className="flex flex-col gap-1">
      <legend className="mb-1 text-xs font-medium text-soft">Roles in this project</legend>
      {(Object.keys(within) as MemberRole[]).map((r) => (
        <label key={r} className="flex items-baseline gap-2">
          <input
            type="checkbox"
            checked={roles.includes(r)}
            onChange={(e) => change(e.target.checked ? [...roles, r] : roles.filter((other) => other !== r))}
            className="accent-accent"
          />
          <span>
            <span className="font-medium">{r}</span> <span className="text-soft">{within[r]}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
