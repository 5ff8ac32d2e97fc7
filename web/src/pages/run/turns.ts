// An agent's steps as a conversation.

import type { Turn } from "./events";
import type { NodeFold, Said } from "./fold";

// Called is a tool call: what was asked for, and what came of it if it is known.
export interface Called {
  key: string;
  tool: string;
  arguments: unknown; // undefined where the turn that asked is not in the log
  step?: Said;
  intent: boolean; // it was about to be made
}

// Exchange is a turn of a model with the calls that it asked for.
export interface Exchange {
  key: string;
  attempt: number;
  step?: Said;
  turn?: Turn;
  calls: Called[];
}

// exchangesOf reads a node's steps, in the order in which they were recorded.
export function exchangesOf(node: NodeFold): Exchange[] {
  const list: Exchange[] = [];
  const byKey = new Map<string, Exchange>();
  const exchange = (key: string, attempt: number): Exchange => {
    const known = byKey.get(key);
    if (known) return known;
    const made: Exchange = { key, attempt, calls: [] };
    byKey.set(key, made);
    list.push(made);
    return made;
  };
  for (const step of node.steps) {
    if (step.kind === "model") {
      const x = exchange(step.key, step.attempt);
      x.step = step;
      x.turn = (step.result ?? {}) as Turn;
      x.calls = (x.turn.calls ?? []).map((c, i) => ({
        key: `${step.key}/call/${i + 1}`,
        tool: c.tool,
        arguments: parsed(c.arguments),
        intent: false,
      }));
      continue;
    }
    const x = exchange(step.key.replace(/\/call\/\d+$/, ""), step.attempt);
    let call = x.calls.find((c) => c.key === step.key);
    if (!call) {
      call = { key: step.key, tool: step.name, arguments: undefined, intent: false };
      x.calls.push(call);
    }
    if (step.phase === "intent") call.intent = true;
    else call.step = step;
  }
  return list;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// instruction is what an agent was told to do: its node's input.
export function instruction(node: NodeFold): string | undefined {
  if (typeof node.input === "string") return node.input;
  const task = (node.input as { task?: unknown } | null | undefined)?.task;
  return typeof task === "string" ? task : undefined;
}
