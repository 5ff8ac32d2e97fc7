import type { Me } from "@/api/me";

// What a token may do is told by scopes: actions, as runs.read, or patterns of
// them, as runs.*, *.read and *.

// No token may do these, whatever its scopes: they take a session.
const sessionOnly = ["account.secure", "users.write"];

export type Group = [noun: string, actions: string[]];

// choicesOf are the actions that a token of somebody can have, by their noun: a
// token never may what its user may not.
export function choicesOf(me: Me): Group[] {
  const all = new Set([...me.actions, ...Object.values(me.projects).flatMap((actions) => actions ?? [])]);
  const groups = new Map<string, string[]>();
  for (const action of all) {
    if (sessionOnly.includes(action)) continue;
    const noun = action.slice(0, action.indexOf("."));
    groups.set(noun, [...(groups.get(noun) ?? []), action]);
  }
  return [...groups].sort(([a], [b]) => a.localeCompare(b));
}

// covers reports whether one of the scopes holds an action, as the service decides it.
export function covers(scopes: string[], action: string): boolean {
  const [noun, verb] = action.split(".");
  return scopes.some((s) => s === "*" || s === action || s === `${noun}.*` || s === `*.${verb}`);
}

// toggle is the scopes with one more or without it. What a pattern of a noun
// holds is not told beside it.
export function toggle(scopes: string[], scope: string): string[] {
  if (scopes.includes(scope)) return scopes.filter((s) => s !== scope);
  const noun = scope.endsWith(".*") ? scope.slice(0, -1) : undefined;
  return [...scopes.filter((s) => !noun || !s.startsWith(noun)), scope];
}
