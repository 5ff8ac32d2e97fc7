import { Annotation, Compartment, EditorState, type Extension } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { useEffect, useRef } from "react";
import { cx } from "@/kit/class";
import { look } from "./look";

interface CodeProps {
  value: string;
  onChange?: (value: string) => void; // without it the code is for reading
  extensions: Extension; // kept by whoever gives them: others take a moment to set up
  label?: string; // for who cannot see where it stands
  id?: string;
  describedBy?: string | undefined;
  className?: string;
  onView?: (view: EditorView | null) => void;
}

const outside = Annotation.define<boolean>();

// between is the smallest change that makes one text another, so that the
// cursor and what is folded stay.
export function between(old: string, next: string): { from: number; to: number; insert: string } {
  let from = 0;
  const most = Math.min(old.length, next.length);
  while (from < most && old[from] === next[from]) from++;
  let end = 0;
  while (end < most - from && old[old.length - 1 - end] === next[next.length - 1 - end]) end++;
  return { from, to: old.length - end, insert: next.slice(from, next.length - end) };
}

// Code is an editor of code. Undoing is its page's affair: there the text is kept.
export function Code({ value, onChange, extensions, label, id, describedBy, className, onView }: CodeProps) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(null);
  const given = useRef<Compartment>(null);
  const changed = useRef(onChange);
  const seen = useRef(onView);
  const first = useRef({ value, extensions });
  changed.current = onChange;
  seen.current = onView;
  const readOnly = !onChange;
  useEffect(() => {
    const own = new Compartment();
    const made = new EditorView({
      parent: place.current as HTMLDivElement,
      state: EditorState.create({
        doc: first.current.value,
        extensions: [
          look,
          own.of(first.current.extensions),
          EditorView.updateListener.of((u) => {
            if (u.docChanged && !u.transactions.some((t) => t.annotation(outside))) {
              changed.current?.(u.state.doc.toString());
            }
          }),
        ],
      }),
    });
    given.current = own;
    view.current = made;
    seen.current?.(made);
    return () => {
      seen.current?.(null);
      made.destroy();
      view.current = null;
    };
  }, []);
  useEffect(() => {
    const attributes: Record<string, string> = { tabindex: "0" }; // what is only read is scrolled by keys, too
    if (label) attributes["aria-label"] = label;
    if (id) attributes.id = id;
    if (describedBy) attributes["aria-describedby"] = describedBy;
    const own = [
      extensions,
      EditorView.contentAttributes.of(attributes),
      EditorState.readOnly.of(readOnly),
      EditorView.editable.of(!readOnly),
    ];
    view.current?.dispatch({ effects: given.current?.reconfigure(own) ?? [] });
  }, [extensions, label, id, describedBy, readOnly]);
  useEffect(() => {
    const old = view.current?.state.doc.toString();
    if (old === undefined || old === value) return;
    view.current?.dispatch({ changes: between(old, value), annotations: outside.of(true) });
  }, [value]);
  return <div ref={place} className={cx("code", className)} />;
}
