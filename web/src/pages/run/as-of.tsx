import { createContext, useContext } from "react";
import { span } from "@/kit/format";
import { useNow } from "@/kit/time";

// AsOf is the time that one looks at, if that is not now.
export const AsOf = createContext<number | undefined>(undefined);

// useAsOf is the time that one looks at, every second.
export function useAsOf(): number {
  const now = useNow();
  return useContext(AsOf) ?? now;
}

// Lasted is how long something took, or had taken by the time that one looks at.
export function Lasted({ from, to }: { from: number | undefined; to: number | undefined }) {
  if (from === undefined) return <>–</>;
  return to === undefined ? <SoFar from={from} /> : span(to - from);
}

function SoFar({ from }: { from: number }) {
  return <>{span(useAsOf() - from)}</>;
}
