import { acceptCompletion, autocompletion, type CompletionContext, closeBrackets } from "@codemirror/autocomplete";
import { defaultKeymap } from "@codemirror/commands";
import { bracketMatching } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { EditorView, keymap, placeholder } from "@codemirror/view";
import { useRef, useState } from "react";
import { cx } from "@/kit/class";
import { type Names, offers } from "../model/scope";
import { Code } from "./code";

interface ExpressionProps {
  value: string;
  onChange?: ((value: string) => void) | undefined; // without it the text is for reading
  names: () => Names; // what is in scope
  template: boolean; // expressions stand in ${{ }}
  label: string;
  id: string;
  invalid?: boolean;
  describedBy?: string | undefined;
  example?: string | undefined;
}

// Expression is an input of CEL, or of a text with CEL in it, that completes
// what is in scope. The Tab key takes what is offered and else leaves it.
export function Expression(props: ExpressionProps) {
  const { value, onChange, template, label, id, invalid, describedBy, example } = props;
  const now = useRef(props);
  now.current = props;
  const [extensions] = useState(() => [
    EditorView.lineWrapping,
    bracketMatching(),
    closeBrackets(),
    EditorState.tabSize.of(2),
    example ? placeholder(example) : [],
    autocompletion({
      icons: false,
      override: [
        (context: CompletionContext) => {
          const { template, names } = now.current;
          const offer = offers(context.state.doc.toString(), context.pos, template, names());
          const before = context.state.sliceDoc(context.pos - 1, context.pos);
          if (!offer || (offer.from === context.pos && before !== "." && !context.explicit)) return null;
          return {
            from: offer.from,
            options: offer.options.map((o) => ({
              label: o.label,
              detail: o.about.slice(0, 60),
              type: o.type,
              boost: o.type === "variable" || o.type === "property" ? 1 : 0, // what is there goes before what can be done
            })),
            validFor: /^\w*$/,
          };
        },
      ],
    }),
    keymap.of([{ key: "Tab", run: acceptCompletion }, ...defaultKeymap]),
  ]);
  return (
    <Code
      value={value}
      {...(onChange && { onChange })}
      extensions={extensions}
      label={label}
      id={id}
      describedBy={describedBy}
      className={cx(
        "max-h-72 overflow-auto rounded-md border focus-within:outline-2 focus-within:outline-accent [&_.cm-content]:px-1",
        invalid ? "border-bad" : "border-strong-line",
        template && "[&_.cm-content]:min-h-14",
      )}
    />
  );
}
