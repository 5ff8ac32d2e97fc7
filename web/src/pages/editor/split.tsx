import { type ReactNode, useRef, useState } from "react";
import { cx } from "@/kit/class";

interface SplitProps {
  left: ReactNode;
  right: ReactNode;
  className?: string;
}

const key = "editor:side";
const least = 280; // pixels of either side

function stored(): number {
  try {
    return Number(localStorage.getItem(key)) || 400;
  } catch {
    return 400; // storage is closed to this page
  }
}

// Split is two things side by side with a bar between them to drag, or to move
// by the arrow keys. On a narrow screen they stand alone.
export function Split({ left, right, className }: SplitProps) {
  const [width, setWidth] = useState(stored);
  const place = useRef<HTMLDivElement>(null);
  const to = (wanted: number) => {
    const most = (place.current?.clientWidth ?? 1_000) - least;
    const next = Math.round(Math.max(least, Math.min(wanted, most)));
    setWidth(next);
    try {
      localStorage.setItem(key, String(next));
    } catch {
      // it is forgotten with the page
    }
  };
  return (
    <div
      ref={place}
      className={cx("flex min-w-0", className)}
      style={{ "--side": `${width}px` } as React.CSSProperties}
    >
      <div className="min-w-0 flex-1">{left}</div>
      {/* biome-ignore lint/a11y/useSemanticElements: an hr cannot be moved */}
      <div
        role="separator"
        tabIndex={0}
        aria-label="Width of the side"
        aria-orientation="vertical"
        aria-valuenow={width}
        aria-valuemin={least}
        aria-valuemax={2000}
        className="w-1 shrink-0 cursor-col-resize touch-none bg-line hover:bg-accent max-md:hidden"
        onPointerDown={(e) => {
          e.preventDefault();
          e.currentTarget.setPointerCapture(e.pointerId);
        }}
        onPointerMove={(e) => {
          if (!e.currentTarget.hasPointerCapture(e.pointerId)) return;
          to((place.current?.getBoundingClientRect().right ?? 0) - e.clientX);
        }}
        onKeyDown={(e) => {
          if (e.key === "ArrowLeft") to(width + 24);
          else if (e.key === "ArrowRight") to(width - 24);
          else return;
          e.preventDefault();
        }}
      />
      <div className="w-[var(--side)] min-w-0 shrink-0 max-md:w-full">{right}</div>
    </div>
  );
}
