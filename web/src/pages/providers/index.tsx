import { useInfiniteQuery } from "@tanstack/react-query";
import { api, got } from "@/api/client";
import { useMay } from "@/api/me";
import { pages } from "@/kit/list";
import { Page } from "@/kit/page";
import { Models } from "./models";
import { Stored } from "./stored";

// Providers are where models come from, and the models that there are.
export function Providers() {
  const reads = useMay()("providers.read");
  const query = useInfiniteQuery({
    queryKey: ["providers"],
    queryFn: async ({ pageParam, signal }) =>
      got(await api.GET("/api/v1/providers", { params: { query: { limit: 100, cursor: pageParam } }, signal })),
    ...pages,
    enabled: reads,
  });
  return (
    <Page title="Models" wide about="What agents may name as their model, and where it is asked.">
      {reads && <Stored query={query} />}
      <Models stored={query.data?.pages.flatMap((p) => p.items.map((i) => i.name)) ?? []} />
    </Page>
  );
}
