// What agents write right now, of which the log knows nothing yet.

import type { Told } from "@/api/stream";
import { pathOf, type RunEvent } from "./events";

// Writing is what an agent has said in a turn that is not recorded yet.
export interface Writing {
  turn: number;
  try: number; // a new one makes what was said before void
  model: string;
  text: string;
  thought: string;
  asking: string[]; // tools that it asks for
  calling: string[]; // keys of calls under way
  gaps: boolean; // pieces of it were lost on the way
}

// Writings are by the path of the node.
export type Writings = ReadonlyMap<string, Writing>;

interface DeltaData {
  kind: "text" | "reasoning" | "asked" | "called" | "returned";
  turn: number;
  try?: number;
  model?: string;
  text?: string;
  tool?: string;
  step?: string;
}

// hear takes in what a stream told: deltas, and events that put an end to what
// they told of.
export function hear(before: Writings, told: readonly Told[]): Writings {
  const after = new Map(before);
  let changed = false;
  for (const t of told) {
    if (t.type === "dropped") {
      for (const [path, w] of after) after.set(path, { ...w, gaps: true });
      changed ||= after.size > 0;
      continue;
    }
    const e = t.data as RunEvent;
    if (!e?.node) continue;
    const path = pathOf(e);
    if (t.type.startsWith("delta.")) {
      const next = delta(after.get(path), e.data as DeltaData);
      if (next) after.set(path, next);
      changed ||= next !== undefined;
    } else if (t.type === "step.tool") {
      const w = after.get(path);
      const key = (e.data as { key: string }).key;
      if (w?.calling.includes(key)) after.set(path, { ...w, calling: w.calling.filter((k) => k !== key) });
    } else if (after.delete(path)) {
      changed = true;
    }
  }
  return changed ? after : before;
}

function delta(was: Writing | undefined, d: DeltaData | undefined): Writing | undefined {
  if (!d?.turn) return undefined;
  const same = was && was.turn === d.turn && (d.try === undefined || was.try === d.try);
  const w: Writing = same
    ? { ...was }
    : { turn: d.turn, try: d.try ?? 1, model: "", text: "", thought: "", asking: [], calling: [], gaps: false };
  if (d.model) w.model = d.model;
  switch (d.kind) {
    case "text":
      w.text += d.text ?? "";
      break;
    case "reasoning":
      w.thought += d.text ?? "";
      break;
    case "asked":
      if (d.tool) w.asking = [...w.asking, d.tool];
      break;
    case "called":
      if (d.step) w.calling = [...w.calling, d.step];
      break;
    case "returned":
      w.calling = w.calling.filter((key) => key !== d.step);
      break;
  }
  return w;
}
