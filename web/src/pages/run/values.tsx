import { Json } from "@/kit/json";
import { Card } from "@/kit/page";
import { ended } from "@/kit/state";
import { failureText } from "./describe";
import type { RunFold } from "./fold";

// Values are what a run was given and what it came to.
export function Values({ run }: { run: RunFold }) {
  const over = ended.includes(run.state);
  return (
    <div className="grid gap-3 overflow-y-auto lg:grid-cols-2">
      <Card title="Input">
        <Json value={run.input} label="Input" open={3} />
      </Card>
      <Card title="Output">
        {run.failure && <p className="mb-2 text-bad">{failureText(run.failure)}</p>}
        {over ? (
          run.state === "completed" || run.output !== null ? (
            <Json value={run.output} label="Output" open={3} />
          ) : (
            <p className="text-soft">It ended without one.</p>
          )
        ) : (
          <p className="text-soft">It has not ended.</p>
        )}
      </Card>
      {run.vars && (
        <Card title="Variables that this run overrides">
          <Json value={run.vars} label="Variables" open={3} />
        </Card>
      )}
      {run.trigger && (
        <Card title="What caused it">
          <Json value={run.trigger} label="Trigger" open={3} />
        </Card>
      )}
    </div>
  );
}
