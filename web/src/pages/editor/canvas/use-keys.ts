import { type RefObject, useEffect, useRef } from "react";
import { plural } from "@/kit/format";
import { tell } from "@/kit/toast";
import { copyOf, disconnect, paste, remove } from "../model/edits";
import { edgeId } from "../model/model";
import { type Editing, useEditor } from "../state";

interface KeysProps {
  root: RefObject<HTMLElement | null>;
  marked: ReadonlySet<string>;
  setMarked: (edges: ReadonlySet<string>) => void;
  openPalette: () => void;
}

const writes = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

// useCanvasKeys has the keys of the editor work: undo everywhere in it, and
// what is done with nodes where nobody is writing.
export function useCanvasKeys({ root, marked, setMarked, openPalette }: KeysProps): void {
  const { editing } = useEditor();
  const now = useRef({ editing, marked, setMarked, openPalette });
  now.current = { editing, marked, setMarked, openPalette };
  useEffect(() => {
    // What was clicked and takes no focus leaves it to what is around the editor.
    const here = (target: EventTarget | null) =>
      target instanceof Node && !!root.current && (root.current.contains(target) || target.contains(root.current));
    const free = (e: Event) => here(e.target) && !writes(e.target) && !document.querySelector('[role="dialog"]');
    const key = (e: KeyboardEvent) => {
      const { editing, marked, setMarked, openPalette } = now.current;
      const control = e.ctrlKey || e.metaKey;
      const k = e.key.toLowerCase();
      let done = true;
      if (here(e.target) && control && k === "z") (e.shiftKey ? editing.redo : editing.undo)?.();
      else if (here(e.target) && control && k === "y") editing.redo?.();
      else if (!free(e)) return;
      else if (control && k === "d") duplicate(editing);
      else if (control && k === "a") editing.select(editing.model.nodes.map((n) => n.id));
      else if (!control && (k === "delete" || k === "backspace")) erase(editing, marked, setMarked);
      else if (!control && (k === "a" || k === "/")) openPalette();
      else done = false;
      if (done) {
        e.preventDefault();
        e.stopPropagation();
      }
    };
    const clip = (e: ClipboardEvent) => {
      const { editing, marked, setMarked } = now.current;
      if (!free(e) || editing.selected.size === 0 || String(getSelection()) !== "") return;
      e.clipboardData?.setData("text/plain", copyOf(editing.doc, editing.selected));
      e.preventDefault();
      if (e.type === "cut") erase(editing, marked, setMarked);
      else tell(`${plural(editing.selected.size, "node")} copied, as YAML`);
    };
    const pasted = (e: ClipboardEvent) => {
      const text = e.clipboardData?.getData("text/plain") ?? "";
      if (!free(e) || now.current.editing.readOnly || text === "") return;
      e.preventDefault();
      insert(now.current.editing, text);
    };
    addEventListener("keydown", key, true);
    addEventListener("copy", clip);
    addEventListener("cut", clip);
    addEventListener("paste", pasted);
    return () => {
      removeEventListener("keydown", key, true);
      removeEventListener("copy", clip);
      removeEventListener("cut", clip);
      removeEventListener("paste", pasted);
    };
  }, [root]);
}

function insert(editing: Editing, text: string): void {
  let added: string[] | undefined;
  const done = editing.edit((doc) => {
    added = paste(doc, text);
  });
  if (!done) return;
  if (added) editing.select(added);
  else tell("What was copied holds no nodes.");
}

export function duplicate(editing: Editing): void {
  if (editing.selected.size > 0 && !editing.readOnly) insert(editing, copyOf(editing.doc, editing.selected));
}

// erase removes what is selected: nodes and edges.
export function erase(
  editing: Editing,
  marked: ReadonlySet<string>,
  setMarked: (edges: ReadonlySet<string>) => void,
): void {
  const edges = editing.model.edges.filter((e) => marked.has(edgeId(e)));
  const nodes = editing.selected;
  if (nodes.size + edges.length === 0 || editing.readOnly) return;
  editing.edit((doc) => {
    if (edges.length > 0) disconnect(edges)(doc);
    if (nodes.size > 0) remove(nodes)(doc);
  });
  setMarked(new Set());
}
