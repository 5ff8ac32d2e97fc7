import { type FormEvent, type ReactNode, useState } from "react";
import { asProblem, type Problem } from "@/api/problem";
import { Button } from "./button";
import { Dialog } from "./dialog";
import { Fault } from "./note";

interface FormDialogProps {
  title: string;
  about?: ReactNode;
  verb: string; // on the button that does it
  act: () => Promise<unknown>;
  onClose: () => void;
  children: (problem: Problem | undefined) => ReactNode; // the fields, and what was wrong with them
}

// FormDialog asks for what something is to be. It closes once that worked; else
// it tells why not, with what was given still there.
export function FormDialog({ title, about, verb, act, onClose, children }: FormDialogProps) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const submit = async (e: FormEvent) => {
    e.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem(undefined);
    try {
      await act();
      onClose();
    } catch (e) {
      setProblem(asProblem(e));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog open onClose={onClose} title={title} about={about}>
      <form onSubmit={(e) => void submit(e)} className="flex flex-col gap-4">
        {problem && <Fault error={problem} />}
        {children(problem)}
        <footer className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="main" type="submit" busy={busy}>
            {verb}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}
