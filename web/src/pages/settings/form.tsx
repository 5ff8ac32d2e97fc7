import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, got, once } from "@/api/client";
import { useMay } from "@/api/me";
import { asProblem, type Problem } from "@/api/problem";
import { Button } from "@/kit/button";
import { Confirm } from "@/kit/dialog";
import { Field } from "@/kit/field";
import { Fault, Loading } from "@/kit/note";
import { Card } from "@/kit/page";
import { tell, tellFault } from "@/kit/toast";
import { type Current, changesOf, deletes, fields, problemOf, type Values, valuesOf } from "./limits";

// Limits is how often requests may come, and how long the audit trail is kept.
export function Limits() {
  const query = useQuery({
    queryKey: ["settings"],
    queryFn: async ({ signal }) => got(await api.GET("/api/v1/settings", { signal })),
  });
  return (
    <Card title="Limits and retention">
      {query.isPending && <Loading />}
      {query.isError && !query.data && <Fault error={query.error} retry={() => void query.refetch()} />}
      {query.data && <Form current={query.data} />}
    </Card>
  );
}

function Form({ current }: { current: Current }) {
  const queries = useQueryClient();
  const may = useMay();
  // What is changed here is held against the settings as they were when that began.
  const [begun, setBegun] = useState(current);
  const [values, setValues] = useState(() => valuesOf(current));
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const changes = changesOf(valuesOf(begun), values);
  const changed = Object.keys(changes).length > 0;
  if (!changed && !busy && begun !== current) {
    setBegun(current);
    setValues(valuesOf(current));
  }
  const overtaken = changed && !busy && current.revision > begun.revision;
  const wrong = fields.some(({ name }) => problemOf(name, values[name]));
  const writes = may("settings.write");

  const send = async (what: Partial<Values>, revision: number): Promise<Current> => {
    const c = got(
      await api.PATCH("/api/v1/settings", {
        params: { header: { "If-Match": `"${revision}"`, ...once() } },
        body: what,
      }),
    );
    queries.setQueryData(["settings"], c);
    return c;
  };
  const submit = (e: FormEvent) => {
    e.preventDefault();
    if (busy || wrong || !changed || overtaken) return;
    if (deletes(changes)) setAsking(true);
    else void go();
  };
  const go = async () => {
    setBusy(true);
    setProblem(undefined);
    const was = valuesOf(begun);
    try {
      const c = await send(changes, begun.revision);
      setBegun(c);
      setValues(valuesOf(c));
      const back = Object.fromEntries(Object.keys(changes).map((name) => [name, was[name as keyof Values]]));
      tell("It is set, on all instances within seconds.", () => void send(back, c.revision).catch(tellFault));
    } catch (e) {
      setProblem(asProblem(e));
      void queries.invalidateQueries({ queryKey: ["settings"] });
    } finally {
      setBusy(false);
    }
  };
  // What somebody else set is taken over, but for what is changed here.
  const takeOver = () => {
    setValues({ ...valuesOf(current), ...changes });
    setBegun(current);
    setProblem(undefined);
  };
  const told = fields.some(({ name }) => problem?.field(name));
  return (
    <form onSubmit={submit} className="flex flex-col gap-3">
      <div className="grid gap-3 sm:grid-cols-2">
        {fields.map(({ name, label, hint }) => (
          <Field key={name} label={label} hint={hint} problem={problemOf(name, values[name]) ?? problem?.field(name)}>
            {(props) => (
              <input
                {...props}
                className="input font-mono"
                spellCheck={false}
                autoCapitalize="off"
                readOnly={!writes}
                value={values[name]}
                onChange={(e) => setValues({ ...values, [name]: e.target.value })}
              />
            )}
          </Field>
        ))}
      </div>
      {problem && !told && !(overtaken && problem.status === 412) && <Fault error={problem} />}
      {overtaken && (
        <div role="alert" className="flex flex-wrap items-center gap-3 rounded-md bg-wait-soft px-3 py-2 text-wait">
          <span className="flex-1">
            Somebody else set something meanwhile:{" "}
            {fields
              .filter(({ name }) => current[name] !== begun[name])
              .map(({ name, label }) => `${label} ${current[name]}`)
              .join(", ") || "the same as before"}
            .
          </span>
          <Button small onClick={takeOver}>
            Take it over, keep my changes
          </Button>
        </div>
      )}
      {writes ? (
        <footer className="flex justify-end gap-2">
          {changed && (
            <Button
              onClick={() => {
                setValues(valuesOf(begun));
                setProblem(undefined);
              }}
            >
              Leave it as it was
            </Button>
          )}
          <Button type="submit" look="main" busy={busy} disabled={!changed || wrong || overtaken}>
            Set
          </Button>
        </footer>
      ) : (
        <p className="text-soft">Your role may read these, and not set them.</p>
      )}
      <Confirm
        open={asking}
        danger
        onClose={() => setAsking(false)}
        title={`Keep audit entries for ${values.audit_kept.trim()}?`}
        verb="Delete what is older"
        act={go}
      >
        Entries that are older are deleted, for good, and so is what gets older from now on.
      </Confirm>
    </form>
  );
}
