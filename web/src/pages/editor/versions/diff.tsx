import { yaml } from "@codemirror/lang-yaml";
import { unifiedMergeView } from "@codemirror/merge";
import { EditorState } from "@codemirror/state";
import { EditorView, lineNumbers } from "@codemirror/view";
import { useEffect, useRef } from "react";
import { look } from "../code/look";

interface DiffProps {
  from: string;
  to: string;
}

const colours = EditorView.theme({
  "&.cm-merge-b .cm-changedLine, & .cm-insertedLine": { backgroundColor: "var(--good-soft)" },
  "&.cm-merge-b .cm-changedText": { background: "color-mix(in srgb, var(--good) 25%, transparent)" },
  "& .cm-deletedChunk": { backgroundColor: "var(--bad-soft)" },
  "& .cm-deletedChunk .cm-deletedText": { background: "color-mix(in srgb, var(--bad) 25%, transparent)" },
  "& .cm-collapsedLines": {
    background: "var(--sunken)",
    color: "var(--soft)",
    border: "none",
    "&:before, &:after": { content: '"…"' },
  },
});

// Diff shows what changed between two texts: lines that went, then lines that came.
export default function Diff({ from, to }: DiffProps) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const view = new EditorView({
      parent: place.current as HTMLDivElement,
      state: EditorState.create({
        doc: to,
        extensions: [
          look,
          yaml(),
          lineNumbers(),
          EditorView.lineWrapping,
          EditorState.readOnly.of(true),
          EditorView.contentAttributes.of({ "aria-label": "What changed, as YAML", tabindex: "0" }),
          unifiedMergeView({
            original: from,
            mergeControls: false,
            syntaxHighlightDeletions: true,
            collapseUnchanged: { margin: 3, minSize: 6 },
          }),
          colours,
        ],
      }),
    });
    return () => view.destroy();
  }, [from, to]);
  return <div ref={place} className="min-h-0 flex-1 overflow-auto" />;
}
