import type { InfiniteData, UseInfiniteQueryResult } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type ReactNode, useEffect, useRef } from "react";
import { Button } from "./button";
import { Fault, Loading } from "./note";

interface Page<T> {
  items: T[];
  next_cursor?: string | undefined;
}

// pages is what every list of pages is asked for with.
export const pages = {
  initialPageParam: "",
  getNextPageParam: (last: { next_cursor?: string | undefined }) => last.next_cursor || undefined,
};

interface ListProps<T> {
  query: UseInfiniteQueryResult<InfiniteData<Page<T>>>;
  label: string; // of the table, for who cannot see it
  head: ReactNode; // cells of the head
  columns: number;
  row: (item: T) => ReactNode; // cells of a row
  id: (item: T) => string;
  empty: ReactNode;
  height?: number; // of a row, in pixels
}

// List is a table of as many rows as there are: those that can be seen are
// drawn, and more pages are read as somebody comes to their end.
export function List<T>({ query, label, head, columns, row, id, empty, height = 41 }: ListProps<T>) {
  const port = useRef<HTMLDivElement>(null);
  const items = query.data?.pages.flatMap((p) => p.items) ?? [];
  const rows = useVirtualizer({
    count: items.length,
    getScrollElement: () => port.current,
    estimateSize: () => height,
    overscan: 12,
    getItemKey: (i) => id(items[i] as T),
  });
  const drawn = rows.getVirtualItems();
  const end = drawn.at(-1)?.index ?? -1;
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && end >= items.length - 20) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage, end, items.length]);
  if (query.isPending) return <Loading />;
  if (query.isError && items.length === 0) return <Fault error={query.error} retry={() => void query.refetch()} />;
  if (items.length === 0) return empty;
  // The arrow keys lead to the same place in the next row.
  const step = (e: KeyboardEvent<HTMLElement>) => {
    const by = e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0;
    const from = (e.target as HTMLElement).closest<HTMLElement>("tr[data-index]");
    if (by === 0 || !from || e.altKey || e.ctrlKey || e.metaKey || (e.target as HTMLElement).matches(typed)) return;
    const to = Number(from.dataset.index) + by;
    if (to < 0 || to >= items.length) return;
    e.preventDefault();
    const place = Array.from(from.querySelectorAll(reached)).indexOf(e.target as HTMLElement);
    rows.scrollToIndex(to);
    requestAnimationFrame(() => {
      const row = port.current?.querySelector(`tr[data-index="${to}"]`);
      const stops = row?.querySelectorAll<HTMLElement>(reached) ?? [];
      (stops[place] ?? stops[0])?.focus();
    });
  };
  const before = drawn[0]?.start ?? 0;
  const after = rows.getTotalSize() - (drawn.at(-1)?.end ?? 0);
  return (
    <div ref={port} className="relative max-h-full overflow-auto rounded-lg border bg-card">
      <table className="table" aria-label={label} aria-rowcount={hasNextPage ? -1 : items.length}>
        <thead className="sticky top-0 z-10 bg-card">
          <tr>{head}</tr>
        </thead>
        <tbody onKeyDown={step}>
          {before > 0 && <Gap columns={columns} height={before} />}
          {drawn.map((d) => (
            <tr key={d.key} ref={rows.measureElement} data-index={d.index} aria-rowindex={d.index + 1}>
              {row(items[d.index] as T)}
            </tr>
          ))}
          {after > 0 && <Gap columns={columns} height={after} />}
        </tbody>
      </table>
      {query.isFetchNextPageError && (
        <div className="flex items-center gap-3 p-3 text-bad">
          The next page could not be read.
          <Button small onClick={() => void fetchNextPage()}>
            Try again
          </Button>
        </div>
      )}
      {isFetchingNextPage && <Loading what="Reading more" />}
    </div>
  );
}

// What is reached by keyboard in a row, and what has a use for arrow keys itself.
const reached = "a[href], button:not([disabled]), input:not([disabled]), select:not([disabled])";
const typed = "select, textarea, input:not([type=checkbox], [type=radio]), [role^=menu]";

function Gap({ columns, height }: { columns: number; height: number }) {
  return (
    <tr aria-hidden>
      <td colSpan={columns} style={{ height, padding: 0, border: 0 }} />
    </tr>
  );
}

// Cells are the heads of columns; one of what needs no name is empty.
export function Cells({ of }: { of: string[] }) {
  return of.map((name) =>
    name === "" ? (
      <td key={name} />
    ) : (
      <th key={name} scope="col">
        {name}
      </th>
    ),
  );
}
