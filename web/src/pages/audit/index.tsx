import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { RefreshCw, ScrollText } from "lucide-react";
import { useState } from "react";
import { api, got } from "@/api/client";
import { useMe } from "@/api/me";
import { IconButton } from "@/kit/button";
import { Field } from "@/kit/field";
import { Filter } from "@/kit/filter";
import { number } from "@/kit/format";
import { Cells, List, pages } from "@/kit/list";
import { Empty } from "@/kit/note";
import { Page } from "@/kit/page";
import { Ago } from "@/kit/time";
import { actorOf, Details, type Entry, Outcome } from "./entry";
import { Verify } from "./verify";

const outcomes = ["done", "denied", "failed"] as const;

// Audit is who did and tried what.
export function Audit() {
  const search = useSearch({ from: "/inside/audit" });
  const navigate = useNavigate({ from: "/audit" });
  const me = useMe();
  const [shown, setShown] = useState<Entry>();
  const query = useInfiniteQuery({
    queryKey: ["audit", search],
    queryFn: async ({ pageParam, signal }) => {
      const { outcome, ...rest } = search;
      const known = outcomes.find((o) => o === outcome);
      return got(
        await api.GET("/api/v1/audit", {
          params: { query: { limit: 100, cursor: pageParam, ...rest, ...(known && { outcome: known }) } },
          signal,
        }),
      );
    },
    ...pages,
  });
  const entries = query.data?.pages.flatMap((p) => p.items) ?? [];
  const seen = (of: (e: Entry) => string | undefined) =>
    [...new Set(entries.map(of))].filter((s): s is string => Boolean(s)).sort();
  const choose = (name: keyof typeof search) => (value: string | undefined) =>
    void navigate({
      search: ({ [name]: _, ...rest }) => (value ? { ...rest, [name]: value } : rest),
      replace: true,
    });
  const filtered = Object.keys(search).length > 0;
  return (
    <Page
      title="Audit"
      about="Who did and tried what, the newest first."
      wide
      actions={
        <>
          <Filter
            label="Who"
            value={search.actor}
            onChange={choose("actor")}
            suggest={seen((e) => e.actor_name || e.actor)}
          />
          <Filter label="Action" value={search.action} onChange={choose("action")} suggest={seen((e) => e.action)} />
          <Filter label="Object" value={search.object} onChange={choose("object")} suggest={seen((e) => e.object)} />
          <Field label="Outcome" hidden>
            {(props) => (
              <select
                {...props}
                className="input !w-auto"
                value={search.outcome ?? ""}
                onChange={(e) => choose("outcome")(e.target.value)}
              >
                <option value="">Any outcome</option>
                {outcomes.map((o) => (
                  <option key={o}>{o}</option>
                ))}
              </select>
            )}
          </Field>
          <IconButton label="Read it again" busy={query.isRefetching} onClick={() => void query.refetch()}>
            {!query.isRefetching && <RefreshCw aria-hidden size={15} />}
          </IconButton>
          {me.actions.includes("audit.read") && <Verify />}
        </>
      }
    >
      <List
        query={query}
        label="Audit entries"
        columns={6}
        head={<Cells of={["When", "Who", "Action", "Object", "Outcome", "Project"]} />}
        id={(e) => String(e.id)}
        row={(e) => (
          <>
            <td>
              <Ago at={e.at} />
            </td>
            <td className="whitespace-nowrap">{actorOf(e)}</td>
            <td className="whitespace-nowrap">
              <button type="button" className="link" onClick={() => setShown(e)}>
                {e.action}
              </button>
              {e.times > 1 && <span className="text-soft"> × {number(e.times)}</span>}
            </td>
            <td className="w-full max-w-0 min-w-48">
              <code className="block truncate text-xs leading-5" title={e.object}>
                {e.object}
              </code>
            </td>
            <td>
              <Outcome of={e.outcome} />
            </td>
            <td>{e.project}</td>
          </>
        )}
        empty={
          <Empty icon={ScrollText} title={filtered ? "No such entries" : "No entries yet"}>
            {filtered ? (
              <p>
                Each filter is to be the same as in the entry: an e-mail address or ID, an action such as{" "}
                <code>auth.signed_in</code>, an object's ID.{" "}
                <Link to="/audit" className="link">
                  Show all
                </Link>
              </p>
            ) : (
              "Whatever somebody changes, and whatever somebody is refused, comes here."
            )}
          </Empty>
        }
      />
      {shown && <Details entry={shown} onClose={() => setShown(undefined)} />}
    </Page>
  );
}
