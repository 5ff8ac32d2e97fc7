import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, got, once, type Schemas } from "@/api/client";
import { useMe } from "@/api/me";
import { noteSession } from "@/api/session";
import { Button } from "@/kit/button";
import { Confirm } from "@/kit/dialog";
import { Fault, Loading } from "@/kit/note";
import { Card } from "@/kit/page";
import { Badge } from "@/kit/state";
import { Ago } from "@/kit/time";
import { tell } from "@/kit/toast";
import { agentOf } from "./agent";

type Session = Schemas["Session"];

// Sessions are where one is signed in: this one first, then as they were used.
export function Sessions() {
  const me = useMe();
  const [everywhere, setEverywhere] = useState(false);
  const [ending, setEnding] = useState<Session>();
  const query = useQuery({
    queryKey: ["sessions"],
    queryFn: async ({ signal }) => got(await api.GET("/api/v1/auth/sessions", { signal })),
  });
  const here = (s: Session) => s.id === me.session;
  const sessions = query.data?.items.toSorted(
    (a, b) => Number(here(b)) - Number(here(a)) || b.used_at.localeCompare(a.used_at),
  );
  return (
    <Card
      title="Sessions"
      flush
      actions={
        <Button small look="danger" onClick={() => setEverywhere(true)}>
          Sign out everywhere
        </Button>
      }
    >
      {query.isPending && <Loading />}
      {query.isError && !sessions && <Fault error={query.error} retry={() => void query.refetch()} className="m-3" />}
      {sessions && (
        <table className="table" aria-label="Sessions">
          <thead>
            <tr>
              <th scope="col">Where</th>
              <th scope="col">Used</th>
              <th scope="col" className="max-sm:hidden">
                Signed in
              </th>
              <th scope="col">
                <span className="sr-only">What to do</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {sessions.map((s) => (
              <tr key={s.id}>
                <td>
                  <span title={s.agent}>{agentOf(s.agent)}</span> {here(s) && <Badge tone="good">this one</Badge>}
                  <span className="block break-all text-soft">{s.address}</span>
                </td>
                <td>
                  <Ago at={s.used_at} />
                </td>
                <td className="max-sm:hidden">
                  <Ago at={s.created_at} />
                </td>
                <td className="text-right">
                  {!here(s) && (
                    <Button
                      small
                      aria-label={`End the session of ${agentOf(s.agent)} at ${s.address}`}
                      onClick={() => setEnding(s)}
                    >
                      End
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {ending && <EndSession session={ending} onClose={() => setEnding(undefined)} />}
      {everywhere && <SignOutEverywhere onClose={() => setEverywhere(false)} />}
    </Card>
  );
}

function EndSession({ session, onClose }: { session: Session; onClose: () => void }) {
  const queries = useQueryClient();
  const act = async () => {
    await api.DELETE("/api/v1/auth/sessions/{id}", { params: { path: { id: session.id }, header: once() } });
    await queries.invalidateQueries({ queryKey: ["sessions"] });
    tell("The session has ended");
  };
  return (
    <Confirm open onClose={onClose} title="End this session?" verb="End it" danger act={act}>
      {agentOf(session.agent)} at {session.address} is signed out at once, and has to sign in again.
    </Confirm>
  );
}

function SignOutEverywhere({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const act = async () => {
    await api.POST("/api/v1/auth/logout-all");
    noteSession(false);
    await navigate({ to: "/sign-in" });
    queries.clear(); // now that no page asks for anything again
  };
  return (
    <Confirm open onClose={onClose} title="Sign out everywhere?" verb="Sign out everywhere" danger act={act}>
      All your sessions end, this one too. Your API tokens stay: take those back below that somebody else may know.
    </Confirm>
  );
}
