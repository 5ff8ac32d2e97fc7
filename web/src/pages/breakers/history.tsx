import { useQuery } from "@tanstack/react-query";
import { api, got } from "@/api/client";
import { Dialog } from "@/kit/dialog";
import { date, plural } from "@/kit/format";
import { Empty, Fault, Loading } from "@/kit/note";
import { changesOf } from "./breaker";
import { Condition } from "./condition";

const most = 100;

// History is when and why a breaker was opened and closed.
export function History({ name, onClose }: { name: string; onClose: () => void }) {
  const query = useQuery({
    queryKey: ["breakers", "history", name],
    queryFn: async ({ signal }) =>
      got(
        await api.GET("/api/v1/breakers/{name}/history", {
          params: { path: { name }, query: { limit: most } },
          signal,
        }),
      ),
  });
  const changes = query.data && changesOf(query.data.items);
  return (
    <Dialog open onClose={onClose} title={name} about="When and why it was opened and closed, the newest first.">
      {query.isPending && <Loading />}
      {query.isError && <Fault error={query.error} retry={() => void query.refetch()} />}
      {changes?.length === 0 && (
        <Empty title="It never was open">Its calls succeed, or fail too seldom to be kept from being made.</Empty>
      )}
      {changes && changes.length > 0 && (
        <ol aria-label="History" className="rounded-md border">
          {changes.map((c) => (
            <li key={c.id} className="flex flex-wrap items-baseline gap-x-3 gap-y-1 border-b px-3 py-2 last:border-b-0">
              <Condition of={c.open ? "open" : "closed"} />
              <time dateTime={c.at}>{date(c.at)}</time>
              <span className="text-soft">
                by {c.by || "its calls"}
                {c.failures > 0 && `, after ${plural(c.failures, "failure")}`}
                {c.open && (c.until ? `, until ${date(c.until)}` : ", until it is reset")}
              </span>
              {c.reason && <span className="basis-full break-words">{c.reason}</span>}
            </li>
          ))}
        </ol>
      )}
      {changes?.length === most && <p className="text-soft">These are the last {most}.</p>}
    </Dialog>
  );
}
