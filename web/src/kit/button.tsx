import type { ComponentProps, ReactNode } from "react";
import { cx } from "./class";

type Look = "main" | "plain" | "quiet" | "danger";

const looks: Record<Look, string> = {
  main: "bg-accent text-accent-ink border-transparent hover:opacity-90",
  plain: "bg-card text-ink border-strong-line hover:bg-sunken",
  quiet: "bg-transparent text-ink border-transparent hover:bg-sunken",
  danger: "bg-card text-bad border-bad hover:bg-bad-soft",
};

// lookOf is the classes of what looks like a button, such as a link.
export function lookOf(look: Look = "plain", small = false): string {
  return cx(
    "inline-flex items-center justify-center gap-1.5 rounded-md border font-medium whitespace-nowrap disabled:opacity-50",
    small ? "px-2 py-1 text-xs" : "px-3 py-1.5",
    looks[look],
  );
}

interface ButtonProps extends ComponentProps<"button"> {
  look?: Look;
  small?: boolean;
  busy?: boolean;
}

// Button is one. While it is busy it takes no click and keeps the focus.
export function Button({ look, small, busy, className, children, onClick, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      className={cx(lookOf(look, small), className)}
      aria-busy={busy || undefined}
      aria-disabled={busy || undefined}
      onClick={busy ? (e) => e.preventDefault() : onClick}
      {...rest}
    >
      {children}
      {busy && <Spinner />}
    </button>
  );
}

interface IconButtonProps extends Omit<ButtonProps, "children"> {
  label: string; // what it does, for who cannot see the icon
  children: ReactNode;
}

export function IconButton({ label, children, className, ...rest }: IconButtonProps) {
  return (
    <Button look="quiet" aria-label={label} title={label} className={cx("size-8 !p-0", className)} {...rest}>
      {children}
    </Button>
  );
}

export function Spinner() {
  return (
    <span
      aria-hidden
      className="inline-block size-3.5 animate-spin rounded-full border-2 border-current border-r-transparent"
    />
  );
}
