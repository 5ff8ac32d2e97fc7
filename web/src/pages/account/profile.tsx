import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useState } from "react";
import { api, once } from "@/api/client";
import { useMay, useMe } from "@/api/me";
import { asProblem, type Problem } from "@/api/problem";
import { Button } from "@/kit/button";
import { Field } from "@/kit/field";
import { Fault } from "@/kit/note";
import { Card } from "@/kit/page";
import { NewPassword } from "@/kit/password";
import { RoleBadge } from "@/kit/roles";
import { tell } from "@/kit/toast";

interface FormProps {
  verb: string;
  act: () => Promise<unknown>;
  children: (problem: Problem | undefined) => ReactNode;
}

// Form tells what is wrong with a field beside it, and what else does not work above.
function Form({ verb, act, children }: FormProps) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const submit = async (e: FormEvent) => {
    e.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem(undefined);
    try {
      await act();
    } catch (e) {
      setProblem(asProblem(e));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={(e) => void submit(e)} className="flex flex-col gap-4">
      {problem && !problem.details.errors?.length && <Fault error={problem} />}
      {children(problem)}
      <Button type="submit" busy={busy} className="self-start">
        {verb}
      </Button>
    </form>
  );
}

export function Profile() {
  const me = useMe();
  const may = useMay();
  const queries = useQueryClient();
  const [name, setName] = useState(me.user.name);
  const projects = Object.keys(me.projects).sort();
  const act = async () => {
    await api.PATCH("/api/v1/auth/me", {
      params: { header: { ...once(), "If-Match": `"${me.user.revision}"` } },
      body: { name },
    });
    await queries.invalidateQueries({ queryKey: ["me"] });
    tell("Your name was changed");
  };
  return (
    <Card title="Who you are">
      <Form verb="Change the name" act={act}>
        {(problem) => (
          <>
            <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1">
              <dt className="text-soft">E-mail</dt>
              <dd className="break-all">{me.user.email}</dd>
              <dt className="text-soft">Role in all projects</dt>
              <dd>
                <RoleBadge role={me.user.role} />
              </dd>
              {projects.length > 0 && (
                <>
                  <dt className="text-soft">More in</dt>
                  <dd className="flex flex-wrap gap-x-2">
                    {projects.map((id) =>
                      may("projects.read", id) ? (
                        <Link key={id} to="/projects/$id" params={{ id }} className="link">
                          {id}
                        </Link>
                      ) : (
                        <span key={id}>{id}</span>
                      ),
                    )}
                  </dd>
                </>
              )}
            </dl>
            <Field label="Name" hint="As others see it." problem={problem?.field("name")}>
              {(props) => (
                <input
                  {...props}
                  className="input"
                  autoComplete="name"
                  required
                  maxLength={200}
                  value={name}
                  onChange={(e) => setName(e.target.value)}
                />
              )}
            </Field>
          </>
        )}
      </Form>
    </Card>
  );
}

export function ChangePassword() {
  const me = useMe();
  const queries = useQueryClient();
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const act = async () => {
    await api.POST("/api/v1/auth/password", { body: { current, new: next } });
    setCurrent("");
    setNext("");
    await queries.invalidateQueries({ queryKey: ["sessions"] });
    tell("Your password was changed; your other sessions have ended");
  };
  return (
    <Card title="Password">
      <Form verb="Change the password" act={act}>
        {(problem) => (
          <>
            {/* Whoever keeps passwords is told whose this is. */}
            <input type="email" autoComplete="username" hidden readOnly value={me.user.email} aria-label="E-mail" />
            <Field label="Current password" problem={problem?.field("current")}>
              {(props) => (
                <input
                  {...props}
                  className="input"
                  type="password"
                  autoComplete="current-password"
                  required
                  value={current}
                  onChange={(e) => setCurrent(e.target.value)}
                />
              )}
            </Field>
            <NewPassword
              label="New password"
              hint="At least 12 characters, and none that many people have. Your other sessions end; API tokens stay."
              value={next}
              change={setNext}
              required
              problem={problem?.field("new")}
            />
          </>
        )}
      </Form>
    </Card>
  );
}
