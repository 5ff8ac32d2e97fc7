import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { CircuitBoard } from "lucide-react";
import { useState } from "react";
import { api, got } from "@/api/client";
import { useMay } from "@/api/me";
import { Button } from "@/kit/button";
import { Confirm } from "@/kit/dialog";
import { number, plural } from "@/kit/format";
import { Cells, List, pages } from "@/kit/list";
import { Empty } from "@/kit/note";
import { Page } from "@/kit/page";
import { Ago } from "@/kit/time";
import { tell } from "@/kit/toast";
import { Until } from "@/kit/until";
import { type Breaker, nextChange, turn } from "./breaker";
import { Condition } from "./condition";
import { History } from "./history";
import { Trip } from "./trip";

type Doing = { kind: "trip"; breaker: Breaker | undefined } | { kind: "reset" | "history"; breaker: Breaker };

// Breakers are those of what many runs call, open ones first.
export function Breakers() {
  const queries = useQueryClient();
  const may = useMay();
  const [doing, setDoing] = useState<Doing>();
  const done = () => setDoing(undefined);
  const query = useInfiniteQuery({
    queryKey: ["breakers", "list"],
    queryFn: async ({ pageParam, signal }) =>
      got(await api.GET("/api/v1/breakers", { params: { query: { limit: 100, cursor: pageParam } }, signal })),
    refetchInterval: (q) => nextChange(q.state.data?.pages.flatMap((p) => p.items) ?? [], Date.now()),
    ...pages,
  });
  const writes = may("breakers.write");
  const reset = async (name: string) => {
    await turn.reset(name);
    void queries.invalidateQueries({ queryKey: ["breakers"] });
    tell(`${name} is closed: calls are made again.`);
  };
  return (
    <Page
      title="Breakers"
      wide
      about="While what many runs call is down, its circuit breaker is open and nothing is called. One that failures opened closes by itself, once a call succeeds."
      actions={writes && <Button onClick={() => setDoing({ kind: "trip", breaker: undefined })}>Open a breaker</Button>}
    >
      <List
        query={query}
        label="Breakers"
        columns={writes ? 7 : 6}
        head={
          <>
            <Cells of={["State", "What is called", "Why", "Since", "Until", "Last minute"]} />
            {writes && (
              <th scope="col">
                <span className="sr-only">What can be done</span>
              </th>
            )}
          </>
        }
        id={(b) => b.name}
        row={(b) => (
          <>
            <td>
              <Condition of={b.state} />
            </td>
            <td className="whitespace-nowrap">
              <button
                type="button"
                className="link"
                title="Its history"
                onClick={() => setDoing({ kind: "history", breaker: b })}
              >
                {b.name}
              </button>
            </td>
            <td className="w-full min-w-56">
              <Why breaker={b} />
            </td>
            <td>
              <Ago at={b.since} />
            </td>
            <td className="whitespace-nowrap">
              <End breaker={b} />
            </td>
            <td className="whitespace-nowrap">
              <Calls breaker={b} />
            </td>
            {writes && (
              <td className="whitespace-nowrap">
                <div className="flex justify-end gap-1">
                  {b.state !== "closed" && (
                    <Button
                      small
                      aria-label={`Reset ${b.name}`}
                      onClick={() => setDoing({ kind: "reset", breaker: b })}
                    >
                      Reset
                    </Button>
                  )}
                  <Button
                    small
                    aria-label={`${b.state === "closed" ? "Open" : "Keep open"} ${b.name}`}
                    onClick={() => setDoing({ kind: "trip", breaker: b })}
                  >
                    {b.state === "closed" ? "Open" : "Keep open"}
                  </Button>
                </div>
              </td>
            )}
          </>
        )}
        empty={
          <Empty icon={CircuitBoard} title="Nothing was called yet">
            Every model provider, HTTP host and tool that runs call has a breaker. Five failures in a row, or half of
            twenty calls in a minute, open it.
          </Empty>
        }
      />
      {doing?.kind === "history" && <History name={doing.breaker.name} onClose={done} />}
      {doing?.kind === "trip" && <Trip breaker={doing.breaker} onClose={done} />}
      {doing?.kind === "reset" && (
        <Confirm
          open
          onClose={done}
          title={`Reset ${doing.breaker.name}?`}
          verb="Reset"
          act={() => reset(doing.breaker.name)}
        >
          It is closed and its failures are forgotten: what waits for it is called at once.
        </Confirm>
      )}
    </Page>
  );
}

function Why({ breaker: b }: { breaker: Breaker }) {
  const by = b.by ? `by ${b.by}` : b.since ? "by its calls" : "";
  const failures = b.failures > 0 ? plural(b.failures, "failure") : "";
  return (
    <span className="line-clamp-2 break-words">
      {b.reason} <span className="text-soft">{[by, failures].filter(Boolean).join(", ")}</span>
    </span>
  );
}

function End({ breaker: b }: { breaker: Breaker }) {
  if (b.state === "half_open") return "a call succeeds";
  if (b.state === "closed") return <span className="text-soft">–</span>;
  return b.until ? <Until at={b.until} /> : "it is reset";
}

function Calls({ breaker: b }: { breaker: Breaker }) {
  if (b.calls === 0) return <span className="text-soft">–</span>;
  return (
    <>
      {plural(b.calls, "call")}
      {b.failed > 0 && <span className="text-bad">, {number(b.failed)} failed</span>}
    </>
  );
}
