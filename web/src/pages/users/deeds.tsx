import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, once } from "@/api/client";
import { useMe } from "@/api/me";
import { Confirm } from "@/kit/dialog";
import { Field } from "@/kit/field";
import { FormDialog } from "@/kit/form";
import { NewPassword } from "@/kit/password";
import { ChooseRole, type Role } from "@/kit/roles";
import { tell } from "@/kit/toast";
import type { User } from ".";

// useChanged has what shows users asked for again, and what one may do oneself.
function useChanged() {
  const queries = useQueryClient();
  const me = useMe();
  return async (id?: string) => {
    await queries.invalidateQueries({ queryKey: ["users"] });
    if (id === me.user.id) await queries.invalidateQueries({ queryKey: ["me"] });
  };
}

// revisionOf is the header by which nothing is changed that somebody else just did.
function revisionOf(user: User) {
  return { ...once(), "If-Match": `"${user.revision}"` };
}

export function AddUser({ onClose }: { onClose: () => void }) {
  const changed = useChanged();
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [password, setPassword] = useState("");
  const [key] = useState(once); // who asks again after a lost answer does not add twice
  const act = async () => {
    await api.POST("/api/v1/users", {
      params: { header: key },
      body: { email, role, ...(name && { name }), ...(password && { password }) },
    });
    tell(`${email} was added`);
    await changed();
  };
  return (
    <FormDialog
      title="Add a user"
      about="They sign in with their e-mail address and the password. Nothing is sent: tell them both yourself."
      verb="Add"
      act={act}
      onClose={onClose}
    >
      {(problem) => (
        <>
          <Field label="E-mail" problem={problem?.field("email")}>
            {(props) => (
              <input
                {...props}
                className="input"
                type="email"
                autoComplete="off"
                required
                maxLength={254}
                value={email}
                onChange={(e) => setEmail(e.target.value)}
              />
            )}
          </Field>
          <Field label="Name" hint="As others see it. May be left out." problem={problem?.field("name")}>
            {(props) => (
              <input
                {...props}
                className="input"
                autoComplete="off"
                maxLength={200}
                value={name}
                onChange={(e) => setName(e.target.value)}
              />
            )}
          </Field>
          <ChooseRole role={role} change={setRole} />
          <NewPassword
            label="Password"
            hint="At least 12 characters, and none that many people have. Without one they cannot sign in yet."
            value={password}
            change={setPassword}
            problem={problem?.field("password")}
          />
        </>
      )}
    </FormDialog>
  );
}

interface DeedProps {
  user: User;
  onClose: () => void;
}

export function EditUser({ user, onClose }: DeedProps) {
  const changed = useChanged();
  const [name, setName] = useState(user.name);
  const [role, setRole] = useState(user.role as Role);
  const act = async () => {
    await api.PATCH("/api/v1/users/{id}", {
      params: { path: { id: user.id }, header: revisionOf(user) },
      body: { ...(name !== user.name && { name }), ...(role !== user.role && { role }) },
    });
    await changed(user.id);
  };
  return (
    <FormDialog title={`Change ${user.email}`} verb="Change" act={act} onClose={onClose}>
      {(problem) => (
        <>
          <Field label="Name" problem={problem?.field("name")}>
            {(props) => (
              <input
                {...props}
                className="input"
                autoComplete="off"
                required
                maxLength={200}
                value={name}
                onChange={(e) => setName(e.target.value)}
              />
            )}
          </Field>
          <ChooseRole role={role} change={setRole} />
        </>
      )}
    </FormDialog>
  );
}

export function SetPassword({ user, onClose }: DeedProps) {
  const changed = useChanged();
  const [password, setPassword] = useState("");
  const act = async () => {
    await api.POST("/api/v1/users/{id}/password", {
      params: { path: { id: user.id }, header: once() },
      body: { password },
    });
    tell(`${user.email} has another password`);
    await changed();
  };
  return (
    <FormDialog
      title={`Set a password for ${user.email}`}
      about="All their sessions end. Nothing is sent: tell them the password yourself."
      verb="Set the password"
      act={act}
      onClose={onClose}
    >
      {(problem) => (
        <NewPassword
          label="New password"
          value={password}
          change={setPassword}
          required
          problem={problem?.field("password")}
        />
      )}
    </FormDialog>
  );
}

// KeepOut keeps somebody out, or lets them in again.
export function KeepOut({ user, onClose }: DeedProps) {
  const changed = useChanged();
  const out = user.active;
  const act = async () => {
    await api.PATCH("/api/v1/users/{id}", {
      params: { path: { id: user.id }, header: revisionOf(user) },
      body: { active: !out },
    });
    await changed(user.id);
  };
  return (
    <Confirm
      open
      onClose={onClose}
      title={out ? `Keep ${user.email} out?` : `Let ${user.email} in again?`}
      verb={out ? "Keep out" : "Let in again"}
      danger={out}
      act={act}
    >
      {out
        ? "Their sessions end at once, and their API tokens work no more until they are let in again. Nothing of theirs is lost."
        : "They may sign in with the password they had, and their API tokens work again."}
    </Confirm>
  );
}

export function DeleteUser({ user, onClose }: DeedProps) {
  const changed = useChanged();
  const act = async () => {
    await api.DELETE("/api/v1/users/{id}", { params: { path: { id: user.id }, header: revisionOf(user) } });
    tell(`${user.email} was deleted`);
    await changed(user.id);
  };
  return (
    <Confirm open onClose={onClose} title={`Delete ${user.email}?`} verb="Delete" danger act={act}>
      Their sessions, API tokens and memberships in projects go with them, and cannot be brought back. What they did
      stays in the audit trail. To keep somebody out for a while, do that instead.
    </Confirm>
  );
}
