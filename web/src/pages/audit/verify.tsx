import { useMutation } from "@tanstack/react-query";
import { ShieldAlert, ShieldCheck } from "lucide-react";
import { api, got, type Schemas } from "@/api/client";
import { Button } from "@/kit/button";
import { cx } from "@/kit/class";
import { Dialog } from "@/kit/dialog";
import { number, plural } from "@/kit/format";
import { Fault, Loading } from "@/kit/note";

type Report = Schemas["Report"];

// The most faults that the service tells of.
const most = 100;

// Verify has the whole trail looked at, and tells what was found.
export function Verify() {
  const look = useMutation({ mutationFn: async () => got(await api.GET("/api/v1/audit/verify")) });
  return (
    <>
      <Button onClick={() => look.mutate()}>
        <ShieldCheck aria-hidden size={15} /> Verify
      </Button>
      <Dialog
        open={!look.isIdle}
        onClose={look.reset}
        title="Verify the audit trail"
        about="Entries are sealed as they are written. The seals show what was changed, added or taken away since."
      >
        {look.isPending && <Loading what="Reading the whole trail" />}
        {look.isError && <Fault error={look.error} retry={() => look.mutate()} />}
        {look.data && <Result report={look.data} />}
      </Dialog>
    </>
  );
}

function Result({ report: r }: { report: Report }) {
  const faults = r.faults ?? [];
  const well = faults.length === 0;
  const Icon = well ? ShieldCheck : ShieldAlert;
  return (
    <div className="flex flex-col gap-3">
      <p
        role="status"
        className={cx(
          "flex items-center gap-2 rounded-md px-3 py-2 font-medium",
          well ? "bg-good-soft text-good" : "bg-bad-soft text-bad",
        )}
      >
        <Icon aria-hidden size={18} className="shrink-0" />
        {well
          ? "Everything under a seal is as it was written."
          : `The trail is not as it was written: ${faults.length >= most ? `${most} faults or more` : plural(faults.length, "fault")}.`}
      </p>
      {!well && (
        <ul aria-label="Faults" className="rounded-md border">
          {faults.map((f) => (
            <li key={`${f.seal} ${f.entry} ${f.problem}`} className="border-b px-3 py-1.5 last:border-b-0">
              <span className="text-soft">
                {f.seal > 0 ? `Seal ${f.seal}` : "No seal"}
                {f.entry ? `, entry ${f.entry}` : ""}:
              </span>{" "}
              {f.problem}
            </li>
          ))}
        </ul>
      )}
      <ul className="flex list-disc flex-col gap-1 pl-5">
        <li>
          {plural(r.entries, "entry", "entries")} under {plural(r.seals, "seal")}.
        </li>
        {r.pruned > 0 && <li>{number(r.pruned)} more were deleted because they were old.</li>}
        <li>
          {r.unsealed > 0
            ? `${plural(r.unsealed, "entry is", "entries are")} not sealed yet: nothing shows that there were not more. The service seals what is new within a second.`
            : "No entry waits for its seal."}
        </li>
        <li>
          {r.anchored
            ? "The service has a note of the last seal apart from the database, and held the trail against it."
            : "The service has no note of the last seal apart from the database: nothing shows that the end was not cut off."}
        </li>
      </ul>
    </div>
  );
}
