import { Command } from "cmdk";
import { useState } from "react";
import { cx } from "@/kit/class";
import { useKinds, useTools } from "../data";
import { dragType } from "./canvas";
import { iconOf } from "./kinds";

interface PaletteProps {
  onAdd: (what: string) => void; // a kind, or "tool:NAME"
  autoFocus?: boolean;
  className?: string;
}

// Palette is what a pipeline can be made of: to type for, to click, to drag.
export function Palette({ onAdd, autoFocus, className }: PaletteProps) {
  const kinds = useKinds();
  const tools = useTools();
  const [sought, setSought] = useState("");
  const item = (what: string, icon: string, label: string, about: string) => {
    const Icon = iconOf(icon);
    return (
      <Command.Item
        key={what}
        value={`${label} ${about}`}
        onSelect={() => {
          setSought("");
          onAdd(what);
        }}
        draggable
        onDragStart={(e) => e.dataTransfer.setData(dragType, what)}
        title={about}
        className="flex cursor-grab items-center gap-2 rounded px-2 py-1.5 data-[selected=true]:bg-sunken"
      >
        <Icon aria-hidden size={15} className="shrink-0 text-accent-deep" />
        <span className="min-w-0">
          <span className="block truncate">{label}</span>
          {sought && <span className="block truncate text-xs text-soft">{about}</span>}
        </span>
      </Command.Item>
    );
  };
  return (
    <Command label="What to add" loop className={cx("flex min-h-0 flex-col", className)}>
      <Command.Input
        value={sought}
        onValueChange={setSought}
        autoFocus={autoFocus}
        placeholder="Add a node"
        data-palette
        className="w-full border-b bg-transparent px-3 py-2 outline-none placeholder:text-soft focus-visible:shadow-[inset_0_-2px_var(--accent)]"
      />
      <Command.List className="min-h-0 flex-1 overflow-y-auto p-1 [&_[cmdk-group-heading]]:px-2 [&_[cmdk-group-heading]]:pt-2 [&_[cmdk-group-heading]]:pb-1 [&_[cmdk-group-heading]]:text-xs [&_[cmdk-group-heading]]:text-soft">
        <Command.Empty className="p-3 text-center text-soft">Nothing of that name</Command.Empty>
        <Command.Group heading="Kinds">{kinds.map((k) => item(k.kind, k.kind, k.kind, k.summary))}</Command.Group>
        <Command.Group heading="Tools">
          {tools.map((t) => item(`tool:${t.name}`, "tool", t.name, t.description))}
        </Command.Group>
      </Command.List>
    </Command>
  );
}
