import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createRouter, RouterProvider } from "@tanstack/react-router";
import { base } from "./api/base";
import { asProblem } from "./api/problem";
import { noteSession, onSessionEnd } from "./api/session";
import { Fault, Loading } from "./kit/note";
import { Toasts } from "./kit/toast";
import { routes } from "./routes";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      refetchOnWindowFocus: false,
      retry: (count, error) => asProblem(error).passing && count < 3,
      retryDelay: (count, error) => Math.max(asProblem(error).retryAfter, 1_000 * 2 ** count),
    },
  },
});

const router = createRouter({
  routeTree: routes,
  basepath: base || "/",
  context: { queries },
  defaultPreload: false,
  scrollRestoration: true,
  defaultPendingComponent: () => <Loading />,
  defaultErrorComponent: ({ error, reset }) => (
    <div className="p-6">
      <Fault error={error} retry={reset} />
    </div>
  ),
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

onSessionEnd(async () => {
  noteSession(false);
  const { pathname, href } = router.state.location;
  if (pathname !== "/sign-in" && pathname !== "/set-up") {
    await router.navigate({ to: "/sign-in", search: pathname === "/" ? {} : { next: href } });
  }
  queries.clear(); // now that no page asks for anything again
});

export function App() {
  return (
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
      <Toasts />
    </QueryClientProvider>
  );
}
