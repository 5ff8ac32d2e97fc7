import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, got, type Run, type Schemas } from "@/api/client";
import { useMay } from "@/api/me";
import { Fault, Loading } from "@/kit/note";
import { Card, Page } from "@/kit/page";
import { Badge, State } from "@/kit/state";
import { Ago, Took } from "@/kit/time";
import { Counts } from "./counts";
import { FirstSteps } from "./first";

type Whole = Schemas["Overview"];

// Overview is what goes on, and what somebody is to see to.
export function Overview() {
  const may = useMay();
  const seesRuns = may("runs.read");
  const query = useQuery({
    queryKey: ["overview"],
    queryFn: async ({ signal }) => got(await api.GET("/api/v1/overview", { signal })),
    enabled: seesRuns,
  });
  return (
    <Page title="Overview">
      {!seesRuns && (
        <p className="text-soft">
          You have no part in a project yet. Ask an administrator to make you a member of one.
        </p>
      )}
      {seesRuns && query.isPending && <Loading />}
      {query.isError && !query.data && <Fault error={query.error} retry={() => void query.refetch()} />}
      {query.data && <Shown of={query.data} />}
    </Page>
  );
}

function Shown({ of }: { of: Whole }) {
  if (of.runs.length === 0) return <FirstSteps />;
  return (
    <>
      <Counts of={of} />
      {of.dead.length > 0 && <Failures of={of.dead} />}
      {of.breakers.length > 0 && <Open of={of.breakers} />}
      <Latest of={of.runs} />
    </>
  );
}

function RunLink({ run }: { run: Run }) {
  return (
    <Link to="/runs/$id" params={{ id: run.id }} className="link">
      {run.pipeline_name || run.pipeline}
    </Link>
  );
}

function Latest({ of }: { of: Run[] }) {
  return (
    <Card
      title="Latest runs"
      flush
      actions={
        <Link to="/runs" className="link">
          All runs
        </Link>
      }
    >
      <table className="table" aria-label="Latest runs">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Pipeline</th>
            <th scope="col" className="max-sm:hidden">
              Project
            </th>
            <th scope="col">Started</th>
            <th scope="col" className="max-sm:hidden">
              Took
            </th>
          </tr>
        </thead>
        <tbody>
          {of.map((r) => (
            <tr key={r.id}>
              <td>
                <State state={r.state} />
              </td>
              <td>
                <RunLink run={r} /> <code className="text-xs text-soft">{r.id.slice(-8)}</code>
              </td>
              <td className="max-sm:hidden">{r.project}</td>
              <td>
                <Ago at={r.created_at} />
              </td>
              <td className="whitespace-nowrap max-sm:hidden">
                <Took from={r.created_at} to={r.finished_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

function Failures({ of }: { of: Schemas["DeadLetter"][] }) {
  return (
    <Card
      title="Ended badly"
      flush
      actions={
        <Link to="/dead-letters" className="link">
          All dead letters
        </Link>
      }
    >
      <ul className="divide-y">
        {of.map((d) => (
          <li key={d.id} className="flex flex-wrap items-center gap-x-3 gap-y-1 px-3 py-2">
            <State state={d.state} />
            <RunLink run={d} />
            <span className="text-soft">{d.project}</span>
            <span className="ml-auto text-soft">
              <Ago at={d.finished_at} />
            </span>
            {d.error && <p className="line-clamp-2 w-full break-words">{d.error.message}</p>}
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Open({ of }: { of: Schemas["Breaker"][] }) {
  return (
    <Card
      title="Breakers that are not closed"
      flush
      actions={
        <Link to="/breakers" className="link">
          All breakers
        </Link>
      }
    >
      <ul className="divide-y">
        {of.map((b) => (
          <li key={b.name} className="flex flex-wrap items-center gap-x-3 gap-y-1 px-3 py-2">
            <Badge tone={b.state === "open" ? "bad" : "wait"}>{b.state === "open" ? "open" : "half open"}</Badge>
            <Link to="/breakers" className="link break-all">
              {b.name}
            </Link>
            {b.reason && <span className="break-words text-soft">{b.reason}</span>}
            <span className="ml-auto text-soft">
              <Ago at={b.since} />
            </span>
          </li>
        ))}
      </ul>
    </Card>
  );
}
