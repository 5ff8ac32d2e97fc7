import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import { api } from "@/api/client";
import { asProblem, type Problem } from "@/api/problem";
import { noteSession } from "@/api/session";
import { Button } from "@/kit/button";
import { Field } from "@/kit/field";
import { Fault } from "@/kit/note";

function Door({ title, children }: { title: string; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · GatheRing`;
  }, [title]);
  return (
    <main className="flex min-h-full flex-col items-center justify-center gap-6 p-4">
      <p className="text-2xl font-semibold">GatheRing</p>
      <section className="w-full max-w-sm rounded-lg border bg-card p-6">
        <h1 className="mb-4 text-lg font-semibold">{title}</h1>
        {children}
      </section>
    </main>
  );
}

// useEntry asks the service to let somebody in, and goes where they wanted to.
function useEntry(next: string | undefined) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const enter = async (ask: () => Promise<unknown>) => {
    setBusy(true);
    setProblem(undefined);
    try {
      await ask();
      queries.clear();
      noteSession(true);
      // What stands in the address may be of anybody's making: only pages of this dashboard are gone to.
      const href = next?.startsWith("/") && !next.startsWith("//") ? next : "/";
      await navigate({ to: "/", href });
    } catch (e) {
      setProblem(asProblem(e));
    } finally {
      setBusy(false);
    }
  };
  return { busy, problem, enter };
}

export function SignIn() {
  const { next } = useSearch({ from: "/sign-in" });
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const { busy, problem, enter } = useEntry(next);
  const submit = (e: FormEvent) => {
    e.preventDefault();
    void enter(() => api.POST("/api/v1/auth/login", { body: { email, password, cookies: true } }));
  };
  return (
    <Door title="Sign in">
      <form onSubmit={submit} className="flex flex-col gap-4">
        {problem && <Fault error={problem} />}
        <Field label="E-mail">
          {(props) => (
            <input
              {...props}
              className="input"
              type="email"
              autoComplete="username"
              required
              value={email}
              onChange={(e) => setEmail(e.target.value)}
            />
          )}
        </Field>
        <Field label="Password">
          {(props) => (
            <input
              {...props}
              className="input"
              type="password"
              autoComplete="current-password"
              required
              value={password}
              onChange={(e) => setPassword(e.target.value)}
            />
          )}
        </Field>
        <Button look="main" type="submit" busy={busy}>
          Sign in
        </Button>
        <p className="text-xs text-soft">
          First start?{" "}
          <Link to="/set-up" className="link">
            Set it up
          </Link>
          . Otherwise ask an administrator for an account.
        </p>
      </form>
    </Door>
  );
}

export function SetUp() {
  // The service prints a link whose fragment, which no server is sent, is the code.
  const [code, setCode] = useState(() => decodeURIComponent(location.hash.slice(1)));
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const { busy, problem, enter } = useEntry(useSearch({ from: "/set-up" }).next);
  useEffect(() => {
    if (location.hash) history.replaceState(history.state, "", location.pathname + location.search);
  }, []);
  const submit = (e: FormEvent) => {
    e.preventDefault();
    void enter(() => api.POST("/api/v1/setup", { body: { code, email, name, password, cookies: true } }));
  };
  return (
    <Door title="Set up">
      <form onSubmit={submit} className="flex flex-col gap-4">
        <p className="text-soft">Make the first administrator. Everybody else is added by them.</p>
        {problem && <Fault error={problem} />}
        <Field label="Set-up code" hint="The service prints it when it starts." problem={problem?.field("code")}>
          {(props) => (
            <input
              {...props}
              className="input font-mono"
              autoComplete="off"
              required
              value={code}
              onChange={(e) => setCode(e.target.value.trim())}
            />
          )}
        </Field>
        <Field label="E-mail" problem={problem?.field("email")}>
          {(props) => (
            <input
              {...props}
              className="input"
              type="email"
              autoComplete="username"
              required
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
              autoComplete="name"
              value={name}
              onChange={(e) => setName(e.target.value)}
            />
          )}
        </Field>
        <Field
          label="Password"
          hint="At least 12 characters, and none that many people have."
          problem={problem?.field("password")}
        >
          {(props) => (
            <input
              {...props}
              className="input"
              type="password"
              autoComplete="new-password"
              required
              minLength={12}
              value={password}
              onChange={(e) => setPassword(e.target.value)}
            />
          )}
        </Field>
        <Button look="main" type="submit" busy={busy}>
          Set up
        </Button>
        <p className="text-xs text-soft">
          There is an administrator already?{" "}
          <Link to="/sign-in" className="link">
            Sign in
          </Link>
        </p>
      </form>
    </Door>
  );
}
