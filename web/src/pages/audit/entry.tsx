import { Link } from "@tanstack/react-router";
import { Ban, Check, type LucideIcon, X } from "lucide-react";
import type { Schemas } from "@/api/client";
import { CopyButton } from "@/kit/copy";
import { Dialog } from "@/kit/dialog";
import { Facts } from "@/kit/facts";
import { date, plural } from "@/kit/format";
import { Badge, type Tone } from "@/kit/state";
import { placeOf } from "./place";

export type Entry = Schemas["AuditEntry"];

const outcomes: Record<string, { tone: Tone; icon: LucideIcon }> = {
  done: { tone: "good", icon: Check },
  denied: { tone: "bad", icon: Ban },
  failed: { tone: "bad", icon: X },
};

export function Outcome({ of }: { of: string }) {
  const { tone, icon: Icon } = outcomes[of] ?? { tone: "none", icon: Check };
  return (
    <Badge tone={tone}>
      <Icon aria-hidden size={13} /> {of}
    </Badge>
  );
}

// actorOf is who did it, as a reader knows them.
export function actorOf(e: Entry): string {
  return e.actor_name || e.actor || "nobody known";
}

interface DetailsProps {
  entry: Entry;
  onClose: () => void;
}

// Details are all that is kept of one entry, and ways to more of its kind.
export function Details({ entry: e, onClose }: DetailsProps) {
  const place = e.object ? placeOf(e.object) : undefined;
  const actor = e.actor || e.actor_name;
  return (
    <Dialog open onClose={onClose} title={`${e.action} by ${actorOf(e)}`}>
      <Facts
        of={[
          ["When", <time dateTime={e.at}>{date(e.at)}</time>],
          ["Outcome", <Outcome of={e.outcome} />],
          ["Reason", e.reason],
          ["Times", e.times > 1 && `${plural(e.times, "time")}: the same again and again is one entry`],
          [
            "Who",
            <>
              {actorOf(e)} {e.actor && e.actor !== e.actor_name && <Id of={e.actor} what="the user's ID" />}
            </>,
          ],
          ["By", e.credential && <Id of={e.credential} what="the credential's ID" />],
          ["From", e.address && <code className="text-xs">{e.address}</code>],
          ["With", e.agent],
          [
            "To what",
            e.object && (
              <>
                <Id of={e.object} what="the object" />{" "}
                {place && (
                  <Link {...place} className="link">
                    Go there
                  </Link>
                )}
              </>
            ),
          ],
          ["Project", e.project],
          ["Request", e.request && <Id of={e.request} what="the request's ID" />],
          ["Entry", `${e.id}, ${e.seal ? `under seal ${e.seal}` : "not sealed yet"}`],
        ]}
      />
      <footer className="flex flex-wrap items-center gap-x-4 gap-y-1">
        <span className="text-soft">Show only those of</span>
        {actor && (
          <Link to="/audit" search={{ actor }} onClick={onClose} className="link">
            this actor
          </Link>
        )}
        <Link to="/audit" search={{ action: e.action }} onClick={onClose} className="link">
          this action
        </Link>
        {e.object && (
          <Link to="/audit" search={{ object: e.object }} onClick={onClose} className="link">
            this object
          </Link>
        )}
      </footer>
    </Dialog>
  );
}

function Id({ of, what }: { of: string; what: string }) {
  return (
    <span className="inline-flex max-w-full items-center gap-1">
      <code className="min-w-0 break-all text-xs">{of}</code>
      <CopyButton text={() => of} label={`Copy ${what}`} className="!size-6" />
    </span>
  );
}
