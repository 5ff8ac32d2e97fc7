import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { once } from "@/api/client";
import { asProblem, type Problem } from "@/api/problem";
import { Button } from "@/kit/button";
import { Dialog } from "@/kit/dialog";
import { Field } from "@/kit/field";
import { Fault } from "@/kit/note";
import { tell, tellFault } from "@/kit/toast";
import { type Breaker, turn } from "./breaker";

const spans: { label: string; minutes: number }[] = [
  { label: "until it is reset", minutes: 0 },
  { label: "for 15 minutes", minutes: 15 },
  { label: "for an hour", minutes: 60 },
  { label: "for 8 hours", minutes: 480 },
  { label: "for a day", minutes: 1_440 },
];
const otherwise = "until"; // a time that is given

interface TripProps {
  breaker: Breaker | undefined; // undefined where its name is to be given
  onClose: () => void;
}

// Trip opens a breaker by hand.
export function Trip({ breaker, onClose }: TripProps) {
  const queries = useQueryClient();
  const [name, setName] = useState(breaker?.name ?? "");
  const [reason, setReason] = useState("");
  const [span, setSpan] = useState("0");
  const [time, setTime] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const key = useRef(once()); // a second try after a lost answer is the same
  const changed = () => queries.invalidateQueries({ queryKey: ["breakers"] });

  const reset = async (of: string) => {
    try {
      await turn.reset(of);
      void changed();
    } catch (e) {
      tellFault(e);
    }
  };
  const go = async (e: FormEvent) => {
    e.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem(undefined);
    const until =
      span === otherwise ? new Date(time) : Number(span) > 0 ? new Date(Date.now() + Number(span) * 60_000) : undefined;
    try {
      const b = await turn.trip(
        name.trim(),
        { ...(reason.trim() && { reason: reason.trim() }), ...(until && { until: until.toISOString() }) },
        key.current,
      );
      void changed();
      // What was open before cannot be made so again by a reset.
      const undo = !breaker || breaker.state === "closed" ? () => void reset(b.name) : undefined;
      tell(`${b.name} is open: nothing is called.`, undo);
      onClose();
    } catch (e) {
      setProblem(asProblem(e));
      if (!asProblem(e).passing) key.current = once();
    } finally {
      setBusy(false);
    }
  };
  const named = problem?.field("name") ?? problem?.field("until");
  return (
    <Dialog
      open
      onClose={onClose}
      title={breaker ? `Open ${breaker.name}` : "Open a breaker"}
      about="While it is open nothing is called: nodes that would are refused at once, and retried as their pipelines say."
    >
      <form onSubmit={(e) => void go(e)} className="flex flex-col gap-3">
        {!breaker && (
          <Field
            label="Name"
            hint="As provider:openai, host:example.com:443 or tool:mail.send"
            problem={problem?.field("name")}
          >
            {(props) => (
              <input
                {...props}
                className="input font-mono"
                required
                maxLength={300}
                spellCheck={false}
                autoCapitalize="off"
                value={name}
                onChange={(e) => setName(e.target.value)}
              />
            )}
          </Field>
        )}
        <Field label="Why" hint="Whoever is refused gets to see it." problem={problem?.field("reason")}>
          {(props) => (
            <input
              {...props}
              className="input"
              maxLength={500}
              value={reason}
              onChange={(e) => setReason(e.target.value)}
            />
          )}
        </Field>
        <Field label="How long">
          {(props) => (
            <select {...props} className="input" value={span} onChange={(e) => setSpan(e.target.value)}>
              {spans.map((s) => (
                <option key={s.minutes} value={s.minutes}>
                  {s.label}
                </option>
              ))}
              <option value={otherwise}>until a time…</option>
            </select>
          )}
        </Field>
        {span === otherwise && (
          <Field label="Until" problem={problem?.field("until")}>
            {(props) => (
              <input
                {...props}
                type="datetime-local"
                className="input !w-auto"
                required
                value={time}
                onChange={(e) => setTime(e.target.value)}
              />
            )}
          </Field>
        )}
        {problem && !named && <Fault error={problem} />}
        <footer className="flex justify-end gap-2">
          <Button onClick={onClose}>Leave it</Button>
          <Button type="submit" look="danger" busy={busy}>
            Open it
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}
