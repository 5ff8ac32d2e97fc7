import { Check, Copy } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { IconButton } from "./button";
import { tellFault } from "./toast";

// copy puts text into the clipboard. Pages that came by plain HTTP from another
// machine have no clipboard but that of a selection.
export async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.setAttribute("readonly", "");
  area.style.position = "fixed";
  area.style.opacity = "0";
  const focus = document.activeElement;
  (focus?.closest('[role$="dialog"]') ?? document.body).append(area); // a dialog keeps the focus within
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (focus instanceof HTMLElement) focus.focus();
  if (!done) throw new Error("The browser does not let this page copy. Select the text and copy it yourself.");
}

interface CopyButtonProps {
  text: () => string; // made when it is wanted
  label?: string;
  className?: string;
}

// CopyButton copies, and says that it did.
export function CopyButton({ text, label = "Copy", className }: CopyButtonProps) {
  const [done, setDone] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const go = async () => {
    try {
      await copy(text());
      setDone(true);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => setDone(false), 2_000);
    } catch (e) {
      tellFault(e);
    }
  };
  return (
    <IconButton label={done ? "Copied" : label} className={className} onClick={() => void go()}>
      {done ? <Check aria-hidden size={14} className="text-good" /> : <Copy aria-hidden size={14} />}
      <span className="sr-only" role="status">
        {done && "Copied"}
      </span>
    </IconButton>
  );
}
