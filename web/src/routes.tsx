import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  Link,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { meQuery } from "./api/me";
import { asProblem } from "./api/problem";
import { maySession } from "./api/session";
import { Empty } from "./kit/note";
import { patient } from "./shell/patient";

const root = createRootRouteWithContext<{ queries: QueryClient }>()({
  component: Outlet,
  notFoundComponent: () => (
    <main>
      <Empty title="There is no such page">
        <Link to="/" className="link">
          To the overview
        </Link>
      </Empty>
    </main>
  ),
});

const text = (value: unknown): string | undefined => (typeof value === "string" && value ? value : undefined);

// texts picks the parameters of a page's address by their names.
function texts<K extends string>(...names: K[]): (search: Record<string, unknown>) => { [name in K]?: string } {
  return (search) => {
    const picked: { [name in K]?: string } = {};
    for (const name of names) {
      const value = text(search[name]);
      if (value) picked[name] = value;
    }
    return picked;
  };
}

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: texts("next"),
  component: lazyRouteComponent(
    patient(() => import("./pages/sign-in")),
    "SignIn",
  ),
});

const setUp = createRoute({
  getParentRoute: () => root,
  path: "/set-up",
  validateSearch: texts("next"),
  component: lazyRouteComponent(
    patient(() => import("./pages/sign-in")),
    "SetUp",
  ),
});

// Everything else is for who is signed in.
const inside = createRoute({
  getParentRoute: () => root,
  id: "inside",
  loader: async ({ context, location }) => {
    const away = redirect({ to: "/sign-in", search: location.pathname === "/" ? {} : { next: location.href } });
    if (!maySession()) throw away;
    try {
      await context.queries.ensureQueryData(meQuery);
    } catch (e) {
      throw asProblem(e).status === 401 ? away : e;
    }
  },
  component: lazyRouteComponent(
    patient(() => import("./shell/shell")),
    "Shell",
  ),
});

const overview = createRoute({
  getParentRoute: () => inside,
  path: "/",
  component: lazyRouteComponent(
    patient(() => import("./pages/overview")),
    "Overview",
  ),
});

const pipelines = createRoute({
  getParentRoute: () => inside,
  path: "/pipelines",
  validateSearch: texts("project"),
  component: lazyRouteComponent(
    patient(() => import("./pages/pipelines")),
    "Pipelines",
  ),
});

const newPipeline = createRoute({
  getParentRoute: () => inside,
  path: "/pipelines/new",
  validateSearch: texts("project"),
  component: lazyRouteComponent(
    patient(() => import("./pages/editor")),
    "NewPipeline",
  ),
});

const pipeline = createRoute({
  getParentRoute: () => inside,
  path: "/pipelines/$id",
  validateSearch: texts("tab", "version"),
  component: lazyRouteComponent(
    patient(() => import("./pages/editor")),
    "Editor",
  ),
});

const runs = createRoute({
  getParentRoute: () => inside,
  path: "/runs",
  validateSearch: texts("state", "project", "pipeline"),
  component: lazyRouteComponent(
    patient(() => import("./pages/runs")),
    "Runs",
  ),
});

const run = createRoute({
  getParentRoute: () => inside,
  path: "/runs/$id",
  validateSearch: texts("node", "tab", "with"),
  component: lazyRouteComponent(
    patient(() => import("./pages/run")),
    "RunViewer",
  ),
});

const deadLetters = createRoute({
  getParentRoute: () => inside,
  path: "/dead-letters",
  validateSearch: texts("project"),
  component: lazyRouteComponent(
    patient(() => import("./pages/dead-letters")),
    "DeadLetters",
  ),
});

const breakers = createRoute({
  getParentRoute: () => inside,
  path: "/breakers",
  component: lazyRouteComponent(
    patient(() => import("./pages/breakers")),
    "Breakers",
  ),
});

const projects = createRoute({
  getParentRoute: () => inside,
  path: "/projects",
  component: lazyRouteComponent(
    patient(() => import("./pages/projects")),
    "Projects",
  ),
});

const project = createRoute({
  getParentRoute: () => inside,
  path: "/projects/$id",
  component: lazyRouteComponent(
    patient(() => import("./pages/projects")),
    "ProjectPage",
  ),
});

const users = createRoute({
  getParentRoute: () => inside,
  path: "/users",
  component: lazyRouteComponent(
    patient(() => import("./pages/users")),
    "Users",
  ),
});

const account = createRoute({
  getParentRoute: () => inside,
  path: "/account",
  component: lazyRouteComponent(
    patient(() => import("./pages/account")),
    "Account",
  ),
});

const audit = createRoute({
  getParentRoute: () => inside,
  path: "/audit",
  validateSearch: texts("actor", "action", "object", "outcome"),
  component: lazyRouteComponent(
    patient(() => import("./pages/audit")),
    "Audit",
  ),
});

const settings = createRoute({
  getParentRoute: () => inside,
  path: "/settings",
  component: lazyRouteComponent(
    patient(() => import("./pages/settings")),
    "Settings",
  ),
});

const providers = createRoute({
  getParentRoute: () => inside,
  path: "/providers",
  validateSearch: texts("provider", "usable"),
  component: lazyRouteComponent(
    patient(() => import("./pages/providers")),
    "Providers",
  ),
});

export const routes = root.addChildren([
  signIn,
  setUp,
  inside.addChildren([
    overview,
    pipelines,
    newPipeline,
    pipeline,
    runs,
    run,
    deadLetters,
    breakers,
    projects,
    project,
    users,
    account,
    audit,
    settings,
    providers,
  ]),
]);
