import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { KeyRound, X } from "lucide-react";
import { useState } from "react";
import { api, got, once, type Schemas } from "@/api/client";
import { useMay, useMe } from "@/api/me";
import { Button, IconButton } from "@/kit/button";
import { CopyButton } from "@/kit/copy";
import { Confirm } from "@/kit/dialog";
import { date } from "@/kit/format";
import { Cells, List, pages } from "@/kit/list";
import { Empty } from "@/kit/note";
import { Badge } from "@/kit/state";
import { Ago, useNow } from "@/kit/time";
import { tell } from "@/kit/toast";
import { MakeToken } from "./make-token";

type Token = Schemas["Token"];
export type Issued = Schemas["IssuedToken"];

// Tokens are the API tokens that one has, or for who may know those of all.
export function Tokens() {
  const may = useMay();
  const [all, setAll] = useState(false);
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<Issued>();
  const [revoking, setRevoking] = useState<Token>();
  const query = useInfiniteQuery({
    queryKey: ["tokens", all],
    queryFn: async ({ pageParam, signal }) =>
      got(
        await api.GET("/api/v1/tokens", {
          params: { query: { limit: 100, cursor: pageParam, ...(all && { user: "*" }) } },
          signal,
        }),
      ),
    ...pages,
  });
  const users = useQuery({
    queryKey: ["users", "names"],
    queryFn: async ({ signal }) => got(await api.GET("/api/v1/users", { params: { query: { limit: 500 } }, signal })),
    enabled: all,
  });
  const whose = (id: string) => users.data?.items.find((u) => u.id === id)?.email ?? id;
  return (
    <section aria-labelledby="tokens" className="flex flex-col gap-3">
      <header className="flex flex-wrap items-center gap-3">
        <div className="min-w-0 flex-1 basis-64">
          <h2 id="tokens" className="font-medium">
            API tokens
          </h2>
          <p className="text-soft">Programs act for you by them, within scopes, and never do what you may not.</p>
        </div>
        {may("users.read") && (
          <label className="flex items-center gap-2">
            <input type="checkbox" checked={all} onChange={(e) => setAll(e.target.checked)} className="accent-accent" />
            Those of all users
          </label>
        )}
        <Button onClick={() => setMaking(true)}>
          <KeyRound aria-hidden size={14} /> Make a token
        </Button>
      </header>
      {made && <Made token={made} onClose={() => setMade(undefined)} />}
      <div className="flex max-h-[32rem] flex-col">
        <List
          query={query}
          label="API tokens"
          columns={all ? 5 : 4}
          height={61}
          head={
            <>
              <Cells of={["For", ...(all ? ["User"] : []), "Scopes"]} />
              <th scope="col" className="max-sm:hidden">
                Expires
              </th>
              <th scope="col">
                <span className="sr-only">What to do</span>
              </th>
            </>
          }
          id={(t) => t.id}
          row={(t) => <Row token={t} {...(all && { whose: whose(t.user) })} revoke={() => setRevoking(t)} />}
          empty={
            <div className="rounded-lg border bg-card">
              <Empty icon={KeyRound} title="No tokens">
                A token is sent as <code>Authorization: Bearer gat_…</code>, or given to the command line as{" "}
                <code>--token</code>. Make one for each program, so that each can be taken back alone.
              </Empty>
            </div>
          }
        />
      </div>
      {making && <MakeToken onMade={setMade} onClose={() => setMaking(false)} />}
      {revoking && <Revoke token={revoking} onClose={() => setRevoking(undefined)} />}
    </section>
  );
}

// Made shows a token, which is told once, until it is put away.
function Made({ token, onClose }: { token: Issued; onClose: () => void }) {
  return (
    <div role="status" className="flex flex-col gap-2 rounded-lg border border-accent bg-card p-3">
      <div className="flex items-start gap-2">
        <p className="flex-1">
          <span className="font-medium">The token for {token.name}.</span> Copy it now: it is shown this once, and
          stored nowhere.
        </p>
        <IconButton label="I have copied it" onClick={onClose}>
          <X aria-hidden size={14} />
        </IconButton>
      </div>
      <div className="flex items-center gap-1 rounded-md bg-sunken pl-3">
        <code className="min-w-0 flex-1 py-2 break-all select-all">{token.secret}</code>
        <CopyButton text={() => token.secret} label="Copy the token" />
      </div>
    </div>
  );
}

interface RowProps {
  token: Token;
  whose?: string; // where tokens of several are listed
  revoke: () => void;
}

function Row({ token, whose, revoke }: RowProps) {
  const me = useMe();
  const may = useMay();
  return (
    <>
      <td>
        <span className="font-medium break-words">{token.name}</span>
        <span className="block text-soft">
          made <Ago at={token.created_at} />, used {token.used_at ? <Ago at={token.used_at} /> : "never"}
        </span>
        <span className="block text-soft sm:hidden">
          expires <Expires at={token.expires_at} />
        </span>
      </td>
      {whose && <td className="break-all">{token.user === me.user.id ? "you" : whose}</td>}
      <td>
        <span className="flex flex-wrap gap-1">
          {token.scopes?.map((s) => (
            <code key={s} className="rounded bg-sunken px-1 text-xs">
              {s}
            </code>
          ))}
        </span>
      </td>
      <td className="max-sm:hidden">
        <Expires at={token.expires_at} />
      </td>
      <td className="text-right">
        {(token.user === me.user.id || may("users.write")) && (
          <Button small aria-label={`Take back the token for ${token.name}`} onClick={revoke}>
            Take back
          </Button>
        )}
      </td>
    </>
  );
}

// Expires is when a token ends. Ago tells no time to come.
function Expires({ at }: { at: string | null }) {
  const now = useNow();
  if (!at) return <span className="text-soft">never</span>;
  if (Date.parse(at) <= now) return <Badge tone="bad">expired</Badge>;
  return <time dateTime={at}>{date(at)}</time>;
}

function Revoke({ token, onClose }: { token: Token; onClose: () => void }) {
  const queries = useQueryClient();
  const act = async () => {
    await api.DELETE("/api/v1/tokens/{id}", { params: { path: { id: token.id }, header: once() } });
    await queries.invalidateQueries({ queryKey: ["tokens"] });
    tell(`The token for ${token.name} works no more`);
  };
  return (
    <Confirm
      open
      onClose={onClose}
      title={`Take back the token for ${token.name}?`}
      verb="Take it back"
      danger
      act={act}
    >
      Whatever uses it is refused from now on. It cannot be brought back: make another one instead.
    </Confirm>
  );
}
