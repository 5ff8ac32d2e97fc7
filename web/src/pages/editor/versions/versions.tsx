import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { GitCompare } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { api, got, type Pipeline } from "@/api/client";
import { Button } from "@/kit/button";
import { Confirm } from "@/kit/dialog";
import { Field } from "@/kit/field";
import { Cells, List, pages } from "@/kit/list";
import { Empty, Fault, Loading } from "@/kit/note";
import { Badge } from "@/kit/state";
import { Ago } from "@/kit/time";
import { versionQuery } from "../data";
import { textOf } from "../model/write";

const Diff = lazy(() => import("./diff"));

interface VersionsProps {
  pipeline: Pipeline;
  base: number; // the version that is open in the editor
  text: string | undefined; // what is in the editor and not saved
  mayWrite: boolean;
  onPublish: (number: number) => Promise<unknown>;
  onRestore: (number: number) => Promise<unknown>;
}

const mine = 0; // stands for what is in the editor

// Versions lists what a pipeline was, and shows what changed between two.
export default function Versions({ pipeline, base, text, mayWrite, onPublish, onRestore }: VersionsProps) {
  const navigate = useNavigate({ from: "/pipelines/$id" });
  const [pair, setPair] = useState<[number, number]>();
  const [asked, setAsked] = useState<number>();
  const query = useInfiniteQuery({
    queryKey: ["pipelines", pipeline.id, "versions"],
    queryFn: async ({ pageParam, signal }) =>
      got(
        await api.GET("/api/v1/pipelines/{id}/versions", {
          params: { path: { id: pipeline.id }, query: { limit: 100, cursor: pageParam } },
          signal,
        }),
      ),
    ...pages,
  });
  const numbers = query.data?.pages.flatMap((p) => p.items.map((v) => v.number)) ?? [];
  const newest = numbers[0] ?? base;
  const [older, newer] = pair ?? (text !== undefined ? [base, mine] : [Math.max(1, newest - 1), newest]);
  const choose = (label: string, value: number, change: (n: number) => void) => (
    <Field label={label}>
      {(p) => (
        <select {...p} className="input !w-auto" value={value} onChange={(e) => change(Number(e.target.value))}>
          {text !== undefined && <option value={mine}>not saved</option>}
          {numbers.map((n) => (
            <option key={n} value={n}>
              version {n}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
  const open = (number: number) => navigate({ search: number === newest ? {} : { version: String(number) } });
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-3 overflow-y-auto p-3">
      <div className="max-h-[40%] min-h-40 shrink-0 overflow-hidden">
        <List
          query={query}
          label="Versions"
          columns={4}
          head={<Cells of={["Version", "Saved", "Hash", ""]} />}
          id={(v) => String(v.number)}
          height={49}
          row={(v) => (
            <>
              <td className="whitespace-nowrap">
                {v.number} {v.number === pipeline.published && <Badge tone="good">published</Badge>}{" "}
                {v.number === base && <Badge>open</Badge>}
              </td>
              <td className="whitespace-nowrap">
                <Ago at={v.created_at} />
              </td>
              <td>
                <code className="text-xs">{v.hash.slice(0, 10)}</code>
              </td>
              <td className="!py-1.5 text-right whitespace-nowrap">
                <span className="inline-flex gap-1">
                  {v.number > 1 && (
                    <Button small onClick={() => setPair([v.number - 1, v.number])}>
                      Changes<span className="sr-only"> of version {v.number}</span>
                    </Button>
                  )}
                  {v.number !== base && (
                    <Button small onClick={() => void open(v.number)}>
                      Open<span className="sr-only"> version {v.number}</span>
                    </Button>
                  )}
                  {mayWrite && v.number !== base && (
                    <Button small onClick={() => void onRestore(v.number)}>
                      Restore<span className="sr-only"> version {v.number} as a draft</span>
                    </Button>
                  )}
                  {mayWrite && v.number !== pipeline.published && (
                    <Button small onClick={() => setAsked(v.number)}>
                      Publish<span className="sr-only"> version {v.number}</span>
                    </Button>
                  )}
                </span>
              </td>
            </>
          )}
          empty={<Empty title="No versions">A pipeline has one from its beginning.</Empty>}
        />
      </div>
      <section aria-label="Changes" className="flex min-h-64 flex-1 flex-col rounded-lg border bg-card">
        <div className="flex flex-wrap items-end gap-3 border-b p-3">
          {choose("From", older, (n) => setPair([n, newer]))}
          {choose("To", newer, (n) => setPair([older, n]))}
        </div>
        {older === newer ? (
          <Empty icon={GitCompare} title="Nothing to compare">
            Choose two versions. Each time the pipeline is saved there is another.
          </Empty>
        ) : (
          <Compared id={pipeline.id} older={older} newer={newer} text={text} />
        )}
      </section>
      <Confirm
        open={asked !== undefined}
        onClose={() => setAsked(undefined)}
        title={`Publish version ${asked}?`}
        verb="Publish it"
        act={async () => asked !== undefined && onPublish(asked)}
      >
        New runs use it instead of version {pipeline.published}. Runs under way go on with theirs.
      </Confirm>
    </div>
  );
}

interface ComparedProps {
  id: string;
  older: number;
  newer: number;
  text: string | undefined;
}

function Compared({ id, older, newer, text }: ComparedProps) {
  const a = useQuery({ ...versionQuery(id, older), enabled: older !== mine });
  const b = useQuery({ ...versionQuery(id, newer), enabled: newer !== mine });
  const from = older === mine ? text : a.data && textOf(a.data.definition);
  const to = newer === mine ? text : b.data && textOf(b.data.definition);
  const error = a.error ?? b.error;
  if (error) {
    return (
      <div className="p-3">
        <Fault error={error} retry={() => void Promise.all([a.refetch(), b.refetch()])} />
      </div>
    );
  }
  if (from === undefined || to === undefined) return <Loading />;
  if (from === to) return <Empty title="No difference">Both say the same.</Empty>;
  return (
    <Suspense fallback={<Loading />}>
      <Diff key={`${older} ${newer}`} from={from} to={to} />
    </Suspense>
  );
}
