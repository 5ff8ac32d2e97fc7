import { closeBrackets } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json, jsonParseLinter } from "@codemirror/lang-json";
import { bracketMatching } from "@codemirror/language";
import { linter } from "@codemirror/lint";
import { EditorView, keymap } from "@codemirror/view";
import { Code } from "./code";

const parse = jsonParseLinter();

const extensions = [
  json(),
  history(),
  bracketMatching(),
  closeBrackets(),
  EditorView.lineWrapping,
  linter((view) => (view.state.doc.length === 0 ? [] : parse(view))),
  keymap.of([...historyKeymap, ...defaultKeymap]),
];

interface JsonTextProps {
  value: string;
  onChange: (value: string) => void;
  id: string;
  describedBy?: string | undefined;
  label: string;
}

// JsonText is an editor of JSON. The Tab key leaves it.
export default function JsonText({ value, onChange, id, describedBy, label }: JsonTextProps) {
  return (
    <Code
      value={value}
      onChange={onChange}
      extensions={extensions}
      id={id}
      describedBy={describedBy}
      label={label}
      className="max-h-72 overflow-auto rounded-md border border-strong-line focus-within:outline-2 focus-within:outline-accent [&_.cm-editor]:min-h-20"
    />
  );
}
