import { createContext, useContext, useMemo } from "react";
import { useTools } from "../data";
import { put } from "../model/edits";
import { type Names, scope } from "../model/scope";
import type { Path } from "../model/text";
import { useEditor } from "../state";

// Place is where the fields of a form stand.
export interface Place {
  node: string | undefined; // undefined: at the top of the definition
  inMap?: boolean;
}

export const PlaceContext = createContext<Place>({ node: undefined });

// FieldOf is a field of the form, bound to its place in the text.
export interface FieldOf {
  fixed: boolean; // it is for reading
  problem: string | undefined; // with the field and what is in it
  own: string | undefined; // with the field alone
  change: (value: unknown) => void; // undefined removes it
  names: () => Names;
}

// useField binds a field by its path within its node, as in ["retry", "factor"].
export function useField(path: Path): FieldOf {
  const { editing, faults } = useEditor();
  const place = useContext(PlaceContext);
  const tools = useTools();
  const { model, edit } = editing;
  const { node, inMap } = place;
  const name = nameOf(path);
  const mine = faults.filter((f) => f.node === node && f.field !== undefined);
  const say = (all: typeof mine) =>
    [...new Set(all.map((f) => (f.field === name ? f.problem : `${f.field?.slice(name.length)} ${f.problem}`)))].join(
      "; ",
    ) || undefined;
  const known = useMemo(() => {
    let names: Names | undefined;
    return () => {
      names ??= scope(model, { ...(node !== undefined && { node }), ...(inMap && { inMap }) }, tools);
      return names;
    };
  }, [model, node, inMap, tools]);
  return {
    fixed: editing.readOnly || editing.broken !== undefined,
    problem: say(mine.filter((f) => within(f.field as string, name))),
    own: say(mine.filter((f) => f.field === name)),
    change: (value) => edit(put(node === undefined ? path : ["nodes", node, ...path], value), true),
    names: known,
  };
}

// nameOf is a path as the service writes it.
export const nameOf = (path: Path): string =>
  path.map((p, i) => (typeof p === "number" ? `[${p}]` : i === 0 ? p : `.${p}`)).join("");

const within = (field: string, name: string): boolean =>
  field === name || field.startsWith(`${name}.`) || field.startsWith(`${name}[`);
