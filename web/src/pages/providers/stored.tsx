import type { InfiniteData, UseInfiniteQueryResult } from "@tanstack/react-query";
import { useQueryClient } from "@tanstack/react-query";
import { KeyRound } from "lucide-react";
import { useState } from "react";
import { api, once, type Schemas } from "@/api/client";
import { useMay } from "@/api/me";
import { Button } from "@/kit/button";
import { Confirm } from "@/kit/dialog";
import { Cells } from "@/kit/list";
import { Menu } from "@/kit/menu";
import { Empty, Fault, Loading } from "@/kit/note";
import { Card } from "@/kit/page";
import { Ago } from "@/kit/time";
import { tell } from "@/kit/toast";
import type { Provider } from "./change";
import { Form } from "./form";

type Doing = { kind: "form"; provider: Provider | undefined } | { kind: "delete"; provider: Provider };

interface StoredProps {
  query: UseInfiniteQueryResult<InfiniteData<Schemas["PageProvider"]>>;
}

// Stored are the providers whose addresses and keys the service keeps.
export function Stored({ query }: StoredProps) {
  const queries = useQueryClient();
  const may = useMay();
  const [doing, setDoing] = useState<Doing>();
  const done = () => setDoing(undefined);
  const providers = query.data?.pages.flatMap((p) => p.items) ?? [];
  const writes = may("providers.write");
  const remove = async (p: Provider) => {
    try {
      await api.DELETE("/api/v1/providers/{id}", {
        params: { path: { id: p.id }, header: { "If-Match": `"${p.revision}"`, ...once() } },
      });
    } finally {
      for (const noun of ["providers", "models"]) void queries.invalidateQueries({ queryKey: [noun] });
    }
    tell(`${p.name} is deleted.`);
  };
  return (
    <Card
      title="Stored providers"
      flush
      className="shrink-0"
      actions={
        writes && (
          <Button small onClick={() => setDoing({ kind: "form", provider: undefined })}>
            Store a provider
          </Button>
        )
      }
    >
      {query.isPending && <Loading />}
      {query.isError && providers.length === 0 && (
        <Fault error={query.error} retry={() => void query.refetch()} className="m-3" />
      )}
      {query.data && providers.length === 0 && (
        <Empty icon={KeyRound} title="None is stored">
          Models are used by keys from the service's environment, or of a provider that is stored here.
        </Empty>
      )}
      {providers.length > 0 && (
        <table className="table" aria-label="Stored providers">
          <thead>
            <tr>
              <Cells of={["Name", "Spoken to as", "Address", "Key", "Changed"]} />
              {writes && (
                <th scope="col">
                  <span className="sr-only">What can be done</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {providers.map((p) => (
              <tr key={p.id}>
                <td className="font-medium whitespace-nowrap">{p.name}</td>
                <td>{p.format}</td>
                <td className="w-full min-w-48">
                  <code className="break-all text-xs">{p.base_url}</code>
                </td>
                <td className="whitespace-nowrap">{p.has_key ? "stored" : <span className="text-soft">none</span>}</td>
                <td>
                  <Ago at={p.updated_at} />
                </td>
                {writes && (
                  <td className="text-right">
                    <Menu
                      label={`What to do with ${p.name}`}
                      choices={[
                        { label: "Change", act: () => setDoing({ kind: "form", provider: p }) },
                        { label: "Delete", danger: true, act: () => setDoing({ kind: "delete", provider: p }) },
                      ]}
                    />
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {query.hasNextPage && (
        <div className="p-3">
          <Button small busy={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            Show more
          </Button>
        </div>
      )}
      {doing?.kind === "form" && <Form provider={doing.provider} onClose={done} />}
      {doing?.kind === "delete" && (
        <Confirm
          open
          danger
          onClose={done}
          title={`Delete ${doing.provider.name}?`}
          verb="Delete"
          act={() => remove(doing.provider)}
        >
          {doing.provider.has_key && "Its key is deleted too, and nobody can read it again. "}
          Agents with its models fail, unless the service was started with a provider of that name.
        </Confirm>
      )}
    </Card>
  );
}
