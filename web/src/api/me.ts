import { queryOptions, useSuspenseQuery } from "@tanstack/react-query";
import { api, got, type Schemas } from "./client";

export type Me = Schemas["Me"];

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: async () => got(await api.GET("/api/v1/auth/me")),
  staleTime: Number.POSITIVE_INFINITY,
  retry: false,
});

// useMe is who reads the page.
export function useMe(): Me {
  return useSuspenseQuery(meQuery).data;
}

// may reports whether somebody may do something, in a project where one is
// named, and else anywhere. The service decides again.
export function may(me: Me, action: string, project?: string): boolean {
  if (me.actions.includes(action)) return true;
  if (project !== undefined) return me.projects[project]?.includes(action) ?? false;
  return Object.values(me.projects).some((actions) => actions?.includes(action));
}

// useMay is may for who reads the page.
export function useMay(): (action: string, project?: string) => boolean {
  const me = useMe();
  return (action, project) => may(me, action, project);
}
