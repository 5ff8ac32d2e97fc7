import { EllipsisVertical } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import { useRef } from "react";
import { cx } from "./class";

export interface Choice {
  label: string;
  act: () => void;
  danger?: boolean;
}

interface MenuProps {
  label: string; // what it is about: "What to do with Ada"
  choices: (Choice | false)[]; // those that may not be made are false
}

// Menu is what can be done with something, in few pixels. It is not there when
// nothing can be. What is chosen is done once the menu has given the focus back,
// so that a dialog that it opens gives it back to here, too.
export function Menu({ label, choices }: MenuProps) {
  const chosen = useRef<() => void>(undefined);
  const possible = choices.filter((c) => c !== false);
  if (possible.length === 0) return null;
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger
        aria-label={label}
        title={label}
        className="inline-flex size-7 items-center justify-center rounded-md hover:bg-sunken"
      >
        <EllipsisVertical aria-hidden size={16} />
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content
          className="menu"
          align="end"
          sideOffset={2}
          onCloseAutoFocus={() => {
            const act = chosen.current;
            chosen.current = undefined;
            if (act) setTimeout(act);
          }}
        >
          {possible.map((c) => (
            <DropdownMenu.Item
              key={c.label}
              className={cx("menu-item", c.danger && "text-bad")}
              onSelect={() => {
                chosen.current = c.act;
              }}
            >
              {c.label}
            </DropdownMenu.Item>
          ))}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
