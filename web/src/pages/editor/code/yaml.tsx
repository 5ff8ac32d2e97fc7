import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, foldGutter, foldKeymap, indentOnInput } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState, type Extension } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { useEffect, useState } from "react";
import { Code } from "./code";

const shown: Extension = [
  yaml(),
  lineNumbers(),
  foldGutter(),
  drawSelection(),
  bracketMatching(),
  search({ top: true }),
  highlightSelectionMatches(),
  keymap.of([...searchKeymap, ...foldKeymap]),
];

const written: Extension = [
  shown,
  lintGutter(),
  highlightActiveLine(),
  highlightActiveLineGutter(),
  indentOnInput(),
  closeBrackets(),
  EditorState.tabSize.of(2),
  keymap.of([...closeBracketsKeymap, indentWithTab, ...defaultKeymap]),
];

export interface Mark {
  from: number;
  to: number;
  message: string;
}

interface YamlProps {
  value: string;
  onChange?: (value: string) => void;
  label: string;
  marks?: Mark[];
  goTo?: { at: number; focus: boolean } | undefined; // a place to show; a new object shows it again
  onCursor?: (at: number) => void;
}

// Yaml is an editor of a definition's text. Escape and then Tab leaves it.
export function Yaml({ value, onChange, label, marks = [], goTo, onCursor }: YamlProps) {
  const [view, setView] = useState<EditorView | null>(null);
  const [extensions] = useState<Extension>(() => [
    onChange ? written : shown,
    EditorView.updateListener.of((u) => {
      if (u.selectionSet && u.view.hasFocus) onCursor?.(u.state.selection.main.head);
    }),
  ]);
  useEffect(() => {
    if (!view) return;
    const end = view.state.doc.length;
    const diagnostics: Diagnostic[] = marks.map((m) => ({
      from: Math.min(m.from, end),
      to: Math.min(m.to, end),
      severity: "error",
      message: m.message,
    }));
    view.dispatch(setDiagnostics(view.state, diagnostics));
  }, [view, marks]);
  useEffect(() => {
    if (!view || !goTo) return;
    const at = Math.min(goTo.at, view.state.doc.length);
    view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
    if (goTo.focus) view.focus();
  }, [view, goTo]);
  return (
    <Code
      value={value}
      {...(onChange && { onChange })}
      extensions={extensions}
      label={label}
      className="h-full [&_.cm-editor]:h-full"
      onView={setView}
    />
  );
}
