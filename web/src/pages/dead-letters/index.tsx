import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { MailCheck } from "lucide-react";
import { useState } from "react";
import { api, got, type Schemas } from "@/api/client";
import { useMay } from "@/api/me";
import { Button } from "@/kit/button";
import { plural } from "@/kit/format";
import { Cells, List, pages } from "@/kit/list";
import { Empty } from "@/kit/note";
import { Page } from "@/kit/page";
import { State } from "@/kit/state";
import { Ago } from "@/kit/time";
import { Choose } from "../runs/choose";
import { type Deed, Deeds } from "./deeds";
import { pick, range } from "./selection";

export type DeadLetter = Schemas["DeadLetter"];

// DeadLetters are the runs that ended badly and that nobody has seen to.
export function DeadLetters() {
  const search = useSearch({ from: "/inside/dead-letters" });
  const navigate = useNavigate({ from: "/dead-letters" });
  const may = useMay();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [last, setLast] = useState<string>(); // from which a range goes
  const [deed, setDeed] = useState<Deed>();
  const query = useInfiniteQuery({
    queryKey: ["dead-letters", search],
    queryFn: async ({ pageParam, signal }) =>
      got(
        await api.GET("/api/v1/dead-letters", {
          params: { query: { limit: 100, cursor: pageParam, ...(search.project && { project: search.project }) } },
          signal,
        }),
      ),
    ...pages,
  });
  const letters = query.data?.pages.flatMap((p) => p.items) ?? [];
  const picked = letters.filter((l) => chosen.has(l.id));
  const starts = picked.length > 0 ? picked.every((l) => may("runs.start", l.project)) : may("runs.start");
  const writes = picked.length > 0 ? picked.every((l) => may("runs.write", l.project)) : may("runs.write");
  const selects = may("runs.start") || may("runs.write");

  const choose = (id: string, on: boolean, shift: boolean) => {
    const ids =
      shift && last
        ? range(
            letters.map((l) => l.id),
            last,
            id,
          )
        : [id];
    setChosen((was) => pick(was, ids, on));
    setLast(id);
  };
  const all = letters.length > 0 && picked.length === letters.length;

  return (
    <Page
      title="Dead letters"
      wide
      about="Runs that ended badly and that nobody has seen to. A redrive goes on where a run broke off; dismissing one says that it is seen to."
      actions={
        <Choose
          project={search.project}
          onProject={(project) => void navigate({ search: project ? { project } : {} })}
        />
      }
    >
      {selects && letters.length > 0 && (
        <div className="flex flex-wrap items-center gap-2">
          <label className="flex items-center gap-2 pl-3">
            <input
              type="checkbox"
              checked={all}
              ref={(box) => {
                if (box) box.indeterminate = picked.length > 0 && !all;
              }}
              onChange={() => setChosen(all ? new Set() : new Set(letters.map((l) => l.id)))}
            />
            All that are shown
          </label>
          <span role="status" className="flex-1 text-soft">
            {picked.length > 0 && `${plural(picked.length, "run")} selected`}
          </span>
          {starts && (
            <Button
              look="main"
              disabled={picked.length === 0}
              onClick={() => setDeed({ kind: "redrive", letters: picked })}
            >
              Redrive
            </Button>
          )}
          {writes && (
            <Button disabled={picked.length === 0} onClick={() => setDeed({ kind: "dismiss", letters: picked })}>
              Dismiss
            </Button>
          )}
        </div>
      )}
      <List
        query={query}
        label="Dead letters"
        columns={6}
        head={<Cells of={["Select", "Pipeline", "Error", "State", "Project", "Ended"]} />}
        id={(l) => l.id}
        row={(l) => (
          <>
            <td className="w-8">
              <input
                type="checkbox"
                aria-label={`Select ${l.pipeline_name ?? l.pipeline} ${l.id.slice(-8)}`}
                disabled={!selects}
                checked={chosen.has(l.id)}
                onChange={() => {}}
                onClick={(e) => choose(l.id, e.currentTarget.checked, e.shiftKey)}
              />
            </td>
            <td className="whitespace-nowrap">
              <Link to="/runs/$id" params={{ id: l.id }} className="link">
                {l.pipeline_name || l.pipeline}
              </Link>{" "}
              <code className="text-xs text-soft">{l.id.slice(-8)}</code>
            </td>
            <td className="w-full min-w-60">
              <span className="line-clamp-2 break-words">{l.error?.message ?? "It tells no error."}</span>
            </td>
            <td>
              <State state={l.state} />
            </td>
            <td>{l.project}</td>
            <td>
              <Ago at={l.finished_at} />
            </td>
          </>
        )}
        empty={
          <Empty icon={MailCheck} title={search.project ? "No dead letters in this project" : "No dead letters"}>
            Runs that end badly come here, until somebody redrives or dismisses them. What a pipeline does about an
            error itself, by retries, a fallback or an error branch, does not.
          </Empty>
        }
      />
      {deed && (
        <Deeds
          deed={deed}
          onClose={(done) => {
            setChosen((was) => pick(was, done, false));
            setDeed(undefined);
          }}
        />
      )}
    </Page>
  );
}
