import { ChevronDown, EllipsisVertical, Play, Redo2, Save, Undo2 } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import { useEffect, useState } from "react";
import type { Pipeline } from "@/api/client";
import { Button, IconButton } from "@/kit/button";
import { Confirm } from "@/kit/dialog";
import { useEditor } from "./state";

interface ToolbarProps {
  pipeline: Pipeline;
  number: number; // of the version that is open
  changed: boolean;
  busy: boolean;
  mayWrite: boolean;
  mayRun: boolean;
  faulty: boolean;
  onSave: (publish: boolean) => Promise<void>;
  onPublish: () => Promise<unknown>;
  onRollBack: () => Promise<unknown>;
  onRun: () => void;
  onDelete: () => Promise<unknown>;
  onDiscard: () => void;
}

// UndoRedo are the buttons that go back and forth.
export function UndoRedo() {
  const { editing } = useEditor();
  if (editing.readOnly) return null;
  return (
    <>
      <IconButton label="Undo (Ctrl Z)" disabled={!editing.undo} onClick={editing.undo}>
        <Undo2 aria-hidden size={16} />
      </IconButton>
      <IconButton label="Redo (Shift Ctrl Z)" disabled={!editing.redo} onClick={editing.redo}>
        <Redo2 aria-hidden size={16} />
      </IconButton>
    </>
  );
}

// useSaveKey has Ctrl S save.
export function useSaveKey(save: () => void): void {
  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      if (!(e.ctrlKey || e.metaKey) || e.key.toLowerCase() !== "s") return;
      e.preventDefault();
      save();
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, [save]);
}

export function Toolbar(props: ToolbarProps) {
  const { pipeline, number, changed, busy, mayWrite, mayRun, faulty } = props;
  const [asked, setAsked] = useState<"delete" | "roll back">();
  const published = number === pipeline.published;
  const save = (publish: boolean) => void (mayWrite && changed && !busy && props.onSave(publish));
  useSaveKey(() => save(false));
  return (
    <>
      <UndoRedo />
      {mayRun && (
        <Button onClick={props.onRun}>
          <Play aria-hidden size={14} /> Run
        </Button>
      )}
      {mayWrite && (
        <span className="flex">
          <Button
            look="main"
            busy={busy}
            disabled={!changed}
            title={
              faulty && changed
                ? "It has faults: the service refuses it until they are mended."
                : "Save as a new version (Ctrl S)"
            }
            className="!rounded-r-none"
            onClick={() => save(false)}
          >
            <Save aria-hidden size={14} /> Save
          </Button>
          <DropdownMenu.Root modal={false}>
            <DropdownMenu.Trigger asChild>
              <Button
                look="main"
                aria-label="More ways to save"
                className="!rounded-l-none border-l !border-l-ground !px-1.5"
                disabled={!changed && published}
              >
                <ChevronDown aria-hidden size={14} />
              </Button>
            </DropdownMenu.Trigger>
            <DropdownMenu.Portal>
              <DropdownMenu.Content className="menu" align="end" sideOffset={4}>
                <DropdownMenu.Item className="menu-item" disabled={!changed} onSelect={() => save(true)}>
                  Save and publish
                </DropdownMenu.Item>
                <DropdownMenu.Item
                  className="menu-item"
                  disabled={published || changed}
                  onSelect={() => void props.onPublish()}
                >
                  Publish version {number}
                </DropdownMenu.Item>
                <DropdownMenu.Item className="menu-item" disabled={!changed} onSelect={props.onDiscard}>
                  Discard my changes
                </DropdownMenu.Item>
              </DropdownMenu.Content>
            </DropdownMenu.Portal>
          </DropdownMenu.Root>
        </span>
      )}
      {mayWrite && (
        <DropdownMenu.Root modal={false}>
          <DropdownMenu.Trigger asChild>
            <IconButton label="More">
              <EllipsisVertical aria-hidden size={16} />
            </IconButton>
          </DropdownMenu.Trigger>
          <DropdownMenu.Portal>
            <DropdownMenu.Content className="menu" align="end" sideOffset={4}>
              <DropdownMenu.Item
                className="menu-item"
                disabled={pipeline.published < 2}
                onSelect={() => setAsked("roll back")}
              >
                Roll back…
              </DropdownMenu.Item>
              <DropdownMenu.Item className="menu-item text-bad" onSelect={() => setAsked("delete")}>
                Delete the pipeline…
              </DropdownMenu.Item>
            </DropdownMenu.Content>
          </DropdownMenu.Portal>
        </DropdownMenu.Root>
      )}
      <Confirm
        open={asked === "roll back"}
        onClose={() => setAsked(undefined)}
        title="Roll back?"
        verb="Roll back"
        act={props.onRollBack}
      >
        New runs use the version before version {pipeline.published} again. Runs under way go on with theirs.
      </Confirm>
      <Confirm
        open={asked === "delete"}
        onClose={() => setAsked(undefined)}
        title={`Delete ${pipeline.name}?`}
        verb="Delete it"
        danger
        act={props.onDelete}
      >
        Nobody can run it again, and its name is free for another. The runs that it had stay.
      </Confirm>
    </>
  );
}
