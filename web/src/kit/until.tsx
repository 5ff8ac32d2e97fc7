import { ago, date } from "./format";
import { useNow } from "./time";

// Until is a time to come as how far off it is; pointing at it tells the date.
export function Until({ at }: { at: string }) {
  const now = useNow();
  return (
    <time dateTime={at} title={date(at)} className="whitespace-nowrap">
      {ago(at, Math.min(now, new Date(at).getTime()))}
    </time>
  );
}
