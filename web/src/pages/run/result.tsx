import { type ReactNode, useMemo, useState } from "react";
import { plural } from "@/kit/format";
import { Json } from "@/kit/json";
import { differences, most } from "./difference";

interface ResultProps {
  head: ReactNode;
  cells: ReactNode; // what stands between the name and the output
  a: unknown;
  b: unknown;
  label: string;
}

// Result is a row with two values, and below it how they differ, once somebody
// asks for it.
export function Result({ head, cells, a, b, label }: ResultProps) {
  const [open, setOpen] = useState(false);
  const list = useMemo(() => differences(a, b), [a, b]);
  return (
    <>
      <tr>
        <th scope="row" className="!text-sm !font-medium !text-ink">
          {head}
        </th>
        {cells}
        <td>
          {list.length === 0 ? (
            <span className="text-soft">the same</span>
          ) : (
            <button
              type="button"
              className="link whitespace-nowrap"
              aria-expanded={open}
              onClick={() => setOpen(!open)}
            >
              {list.length >= most ? `${most} differences or more` : plural(list.length, "difference")}
              <span className="sr-only"> in {label}</span>
            </button>
          )}
        </td>
      </tr>
      {open && list.length > 0 && (
        <tr>
          <td colSpan={6} className="bg-sunken">
            <dl className="flex flex-col gap-2">
              {list.map((d) => (
                <div key={d.path}>
                  <dt className="font-mono text-xs font-semibold break-all">{d.path || "All of it"}</dt>
                  <dd className="grid gap-2 md:grid-cols-2">
                    <Part value={d.a} label={`${d.path} in this run`} />
                    <Part value={d.b} label={`${d.path} in the other`} />
                  </dd>
                </div>
              ))}
            </dl>
          </td>
        </tr>
      )}
    </>
  );
}

function Part({ value, label }: { value: unknown; label: string }) {
  return value === undefined ? (
    <p className="p-2 text-xs text-soft">not there</p>
  ) : (
    <Json value={value} label={label} open={1} className="!bg-card" />
  );
}
