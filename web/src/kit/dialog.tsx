import { X } from "lucide-react";
import { AlertDialog, Dialog as Radix } from "radix-ui";
import { type ReactNode, useRef, useState } from "react";
import { Button, IconButton } from "./button";
import { Fault } from "./note";

const ground = "fixed inset-0 z-40 bg-black/50";
const panel =
  "fixed top-1/2 left-1/2 z-50 flex max-h-[90dvh] w-[min(36rem,calc(100vw-2rem))] -translate-x-1/2 -translate-y-1/2 flex-col gap-4 overflow-y-auto rounded-lg border bg-raised p-4 shadow-xl";

// useReturn gives the focus back to where it was before a dialog was opened, or
// to the page where that is no more.
function useReturn() {
  const from = useRef<Element>(null);
  return {
    onOpenAutoFocus: () => {
      from.current = document.activeElement;
    },
    onCloseAutoFocus: (e: Event) => {
      e.preventDefault();
      const to = from.current?.isConnected ? from.current : document.getElementById("main");
      if (to instanceof HTMLElement) to.focus();
    },
  };
}

interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  about?: ReactNode;
  wide?: boolean;
  children: ReactNode;
}

// Dialog asks for something before the page goes on.
export function Dialog({ open, onClose, title, about, wide, children }: DialogProps) {
  const focus = useReturn();
  return (
    <Radix.Root open={open} onOpenChange={(o) => !o && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className={ground} />
        <Radix.Content
          {...focus}
          className={`${panel}${wide ? " !w-[min(60rem,calc(100vw-2rem))]" : ""}`}
          {...(!about && { "aria-describedby": undefined })}
        >
          <header className="flex items-start gap-2">
            <div className="flex-1">
              <Radix.Title className="text-base font-semibold">{title}</Radix.Title>
              {about && <Radix.Description className="text-soft">{about}</Radix.Description>}
            </div>
            <Radix.Close asChild>
              <IconButton label="Close">
                <X aria-hidden size={16} />
              </IconButton>
            </Radix.Close>
          </header>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

interface ConfirmProps {
  open: boolean;
  onClose: () => void;
  title: string;
  children: ReactNode; // what will happen
  verb: string; // on the button that does it
  danger?: boolean;
  act: () => Promise<unknown>;
}

// Confirm asks before what cannot be undone, and tells if it did not work.
export function Confirm({ open, onClose, title, children, verb, danger, act }: ConfirmProps) {
  const focus = useReturn();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const go = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await act();
      onClose();
    } catch (e) {
      setError(e);
    } finally {
      setBusy(false);
    }
  };
  return (
    <AlertDialog.Root open={open} onOpenChange={(o) => !o && onClose()}>
      <AlertDialog.Portal>
        <AlertDialog.Overlay className={ground} />
        <AlertDialog.Content {...focus} className={panel}>
          <AlertDialog.Title className="text-base font-semibold">{title}</AlertDialog.Title>
          <AlertDialog.Description asChild>
            <div className="text-soft">{children}</div>
          </AlertDialog.Description>
          {error !== undefined && <Fault error={error} />}
          <footer className="flex justify-end gap-2">
            <AlertDialog.Cancel asChild>
              <Button>Keep it as it is</Button>
            </AlertDialog.Cancel>
            <Button look={danger ? "danger" : "main"} busy={busy} onClick={go}>
              {verb}
            </Button>
          </footer>
        </AlertDialog.Content>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}
