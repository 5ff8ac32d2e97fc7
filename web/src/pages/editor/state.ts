import { createContext, useCallback, useContext, useMemo, useRef, useState } from "react";
import { asProblem } from "@/api/problem";
import { tellFault } from "@/kit/toast";
import { begin, change, type History, redo, undo } from "./model/history";
import { type Model, modelOf } from "./model/model";
import { type Broken, type Doc, read, write } from "./model/text";

export interface Editing {
  text: string;
  doc: Doc; // of the text as it is
  model: Model; // of the text as it was when it could be read last
  broken: Broken | undefined; // why the text cannot be read
  readOnly: boolean;
  selected: ReadonlySet<string>; // nodes
  select: (ids: Iterable<string>) => void;
  type: (text: string) => void; // in the YAML
  edit: (edit: (doc: Doc) => void, typing?: boolean) => boolean; // on the canvas or in a form
  replace: (text: string) => void; // as one step
  restart: (text: string) => void; // with nothing to undo
  undo: (() => void) | undefined;
  redo: (() => void) | undefined;
}

// useEditing keeps a definition's text while somebody changes it. The text is
// all there is: the model is read from it, and edits are written into it.
export function useEditing(first: string, readOnly: boolean): Editing {
  const [history, setHistory] = useState<History>(() => begin(first));
  const [selection, select] = useState<ReadonlySet<string>>(new Set());
  const latest = useRef(history);
  const to = useCallback((next: History) => {
    latest.current = next;
    setHistory(next);
  }, []);
  const { text } = history;
  const parsed = useMemo(() => read(text), [text]);
  const good = useRef<Model>(undefined);
  const model = useMemo(() => {
    if (!parsed.broken || !good.current) good.current = modelOf(parsed.doc);
    return good.current;
  }, [parsed]);
  const selected = useMemo(() => {
    const known = new Set(model.nodes.map((n) => n.id));
    return new Set([...selection].filter((id) => known.has(id)));
  }, [selection, model]);
  const put = useCallback(
    (next: string, typing: boolean) => to(change(latest.current, next, typing, Date.now())),
    [to],
  );
  const edit = useCallback(
    (how: (doc: Doc) => void, typing = false) => {
      const { doc, broken } = read(latest.current.text);
      if (readOnly) return false;
      if (broken) {
        tellFault(new Error(`Line ${broken.line} of the YAML cannot be read. Mend it there first, or undo.`));
        return false;
      }
      try {
        how(doc);
        put(write(doc), typing);
        return true;
      } catch (e) {
        tellFault(asProblem(e));
        return false;
      }
    },
    [put, readOnly],
  );
  return {
    text,
    ...parsed,
    broken: parsed.broken,
    model,
    readOnly,
    selected,
    select: useCallback((ids) => select(new Set(ids)), []),
    type: useCallback((next) => put(next, true), [put]),
    edit,
    replace: useCallback((next) => put(next, false), [put]),
    restart: useCallback((next) => to(begin(next)), [to]),
    undo: history.past.length > 0 && !readOnly ? () => to(undo(latest.current)) : undefined,
    redo: history.future.length > 0 && !readOnly ? () => to(redo(latest.current)) : undefined,
  };
}

export interface Fault {
  path: string; // as the service writes it
  problem: string;
  from: number; // in the text
  to: number;
  line: number;
  node: string | undefined;
  field: string | undefined; // of the node
}

interface Shared {
  editing: Editing;
  faults: Fault[];
  project: string;
}

export const EditorContext = createContext<Shared | null>(null);

// useEditor is what is edited, for everything within the editor.
export function useEditor(): Shared {
  const shared = useContext(EditorContext);
  if (!shared) throw new Error("This stands in the editor alone.");
  return shared;
}
