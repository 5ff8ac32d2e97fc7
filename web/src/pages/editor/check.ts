import { useEffect, useMemo, useState } from "react";
import { api } from "@/api/client";
import { asProblem } from "@/api/problem";
import type { Doc } from "./model/text";
import { lineOf, whereIs } from "./model/where";
import type { Fault } from "./state";

const pause = 700; // after the last change, in milliseconds

interface Told {
  text: string; // what was checked
  faults: { field: string; problem: string }[];
}

export type Checking = "checking" | "checked" | "unreachable";

// useCheck has the service look for faults while somebody writes: after a
// pause, one request at a time, and none for what is out of date.
export function useCheck(
  text: string,
  doc: Doc,
  where: { id: string } | { project: string },
  on: boolean,
): { faults: Fault[]; state: Checking } {
  const [told, setTold] = useState<Told>();
  const [failed, setFailed] = useState<string>();
  const id = "id" in where ? where.id : undefined;
  const project = "id" in where ? undefined : where.project;
  useEffect(() => {
    if (!on || text.trim() === "") return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      try {
        const rest = { signal: abort.signal };
        if (id) {
          await api.POST("/api/v1/pipelines/{id}/validate", {
            params: { path: { id } },
            body: { source: text },
            ...rest,
          });
        } else {
          await api.POST("/api/v1/pipelines/validate", {
            body: { source: text, ...(project && { project }) },
            ...rest,
          });
        }
        setTold({ text, faults: [] });
        setFailed(undefined);
      } catch (e) {
        if (abort.signal.aborted) return;
        const problem = asProblem(e);
        if (problem.passing) {
          setFailed(text);
          timer = setTimeout(ask, Math.max(problem.retryAfter, 5_000));
          return;
        }
        const faults = problem.details.errors ?? [{ field: "line 1", problem: problem.message }];
        setTold({ text, faults: faults.map((f) => ({ field: f.field, problem: f.problem })) });
        setFailed(undefined);
      }
    };
    timer = setTimeout(ask, pause);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text, id, project, on]);
  const faults = useMemo(
    () =>
      (told?.faults ?? []).map((f) => {
        const place = whereIs(doc, text, f.field);
        return { path: f.field, problem: f.problem, ...place, line: lineOf(text, place.from) };
      }),
    [told, doc, text],
  );
  if (text.trim() === "") return { faults: [], state: "checked" };
  return { faults, state: !on || told?.text === text ? "checked" : failed === text ? "unreachable" : "checking" };
}
