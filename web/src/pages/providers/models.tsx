import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Ban, Boxes, Check } from "lucide-react";
import { api, got, type Schemas } from "@/api/client";
import { CopyButton } from "@/kit/copy";
import { Filter } from "@/kit/filter";
import { money, short } from "@/kit/format";
import { Cells, List, pages } from "@/kit/list";
import { Empty } from "@/kit/note";
import { Badge } from "@/kit/state";

type Model = Schemas["Model"];

// Models are those that are known by name, and whether they can be asked.
export function Models({ stored }: { stored: string[] }) {
  const search = useSearch({ from: "/inside/providers" });
  const navigate = useNavigate({ from: "/providers" });
  const usable = search.usable === "yes";
  const query = useInfiniteQuery({
    queryKey: ["models", search],
    queryFn: async ({ pageParam, signal }) =>
      got(
        await api.GET("/api/v1/models", {
          params: {
            query: {
              limit: 200,
              cursor: pageParam,
              ...(search.provider && { provider: search.provider }),
              ...(usable && { usable }),
            },
          },
          signal,
        }),
      ),
    ...pages,
  });
  const choose = (name: keyof typeof search, value: string | undefined) =>
    void navigate({
      search: ({ [name]: _, ...rest }) => (value ? { ...rest, [name]: value } : rest),
      replace: true,
    });
  const seen = query.data?.pages.flatMap((p) => p.items.map((m) => m.ref.slice(0, m.ref.indexOf("/")))) ?? [];
  return (
    <section aria-labelledby="models" className="flex min-h-96 flex-1 basis-0 flex-col gap-2">
      <header className="flex flex-wrap items-center gap-x-4 gap-y-2">
        <h2 id="models" className="flex-1 font-medium">
          Models
        </h2>
        <label className="flex items-center gap-2">
          <input
            type="checkbox"
            checked={usable}
            onChange={(e) => choose("usable", e.target.checked ? "yes" : undefined)}
          />
          Only those that can be used
        </label>
        <Filter
          label="Provider"
          value={search.provider}
          onChange={(provider) => choose("provider", provider)}
          suggest={[...new Set([...stored, ...seen])].sort()}
        />
      </header>
      <div className="min-h-0 flex-1">
        <List
          query={query}
          label="Models"
          columns={5}
          head={<Cells of={["Model", "Can it be used", "Context", "Longest answer", "Price of a million tokens"]} />}
          id={(m) => m.ref}
          row={(m) => (
            <>
              <td className="w-1/2 min-w-56">
                <span className="flex items-center gap-1">
                  <code className="min-w-0 break-all text-xs">{m.ref}</code>
                  <CopyButton text={() => m.ref} label={`Copy ${m.ref}`} className="!size-6" />
                </span>
              </td>
              <td className="w-1/2 min-w-64">
                {m.usable ? (
                  <Badge tone="good">
                    <Check aria-hidden size={13} /> yes
                  </Badge>
                ) : (
                  <span className="flex items-start gap-2">
                    <Badge>
                      <Ban aria-hidden size={13} /> no
                    </Badge>
                    <span className="break-words text-soft">{m.problem}</span>
                  </span>
                )}
              </td>
              <td className="whitespace-nowrap">
                <Tokens of={m.context_window} />
              </td>
              <td className="whitespace-nowrap">
                <Tokens of={m.max_output} />
              </td>
              <td className="whitespace-nowrap">
                <Price of={m.price} />
              </td>
            </>
          )}
          empty={
            <Empty icon={Boxes} title="No such models">
              No model that is known by name fits.{" "}
              <Link to="/providers" className="link">
                Show all
              </Link>{" "}
              An agent may name others of a provider that is set up, as <code>provider/model</code>.
            </Empty>
          }
        />
      </div>
    </section>
  );
}

function Tokens({ of }: { of: number | undefined }) {
  return of ? <>{short(of)} tokens</> : <span className="text-soft">unknown</span>;
}

function Price({ of }: { of: Model["price"] }) {
  if (!of) return <span className="text-soft">unknown</span>;
  return (
    <span title={`From the cache ${money(of.cache_read)}, into it ${money(of.cache_write)}`}>
      {money(of.input)} in, {money(of.output)} out
    </span>
  );
}
