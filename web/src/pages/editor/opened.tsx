import { useQueryClient } from "@tanstack/react-query";
import { Link, useBlocker, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { api, got, once, type Pipeline, type Schemas } from "@/api/client";
import { useMay, useMe } from "@/api/me";
import { asProblem } from "@/api/problem";
import { Button } from "@/kit/button";
import { cx } from "@/kit/class";
import { Confirm } from "@/kit/dialog";
import { Loading } from "@/kit/note";
import { Badge } from "@/kit/state";
import { Ago } from "@/kit/time";
import { tell, tellFault } from "@/kit/toast";
import { useCheck } from "./check";
import { tagOf, versionQuery } from "./data";
import { type Draft, draftKey, dropDraft, readDraft, useDraft } from "./draft";
import { Frame, Note } from "./frame";
import { textOf } from "./model/write";
import { RunsTab } from "./runs-tab";
import { EditorContext, useEditing } from "./state";
import { Toolbar } from "./toolbar";
import Workbench from "./workbench";

const Versions = lazy(() => import("./versions/versions"));
const RunDialog = lazy(() => import("./run/run-dialog"));

interface OpenedProps {
  pipeline: Pipeline;
  newest: number; // the number of its newest version
  version: Schemas["VersionDocument"]; // the one that is opened
  tab: string;
}

const tabs = [
  { tab: "graph", label: "Editor" },
  { tab: "versions", label: "Versions" },
  { tab: "runs", label: "Runs" },
];

// Opened is an editor of a stored pipeline. What others store meanwhile is
// told, and changes nothing here until somebody says so.
export default function Opened({ pipeline, newest, version, tab }: OpenedProps) {
  const queries = useQueryClient();
  const navigate = useNavigate({ from: "/pipelines/$id" });
  const me = useMe();
  const mayWrite = useMay()("pipelines.write", pipeline.project);
  const mayRun = useMay()("runs.write", pipeline.project);
  const [base, setBase] = useState(() => ({
    number: version.number,
    newest,
    revision: pipeline.revision,
    text: textOf(version.definition),
  }));
  const editing = useEditing(base.text, !mayWrite);
  const { text, replace } = editing;
  const changed = text !== base.text;
  const [busy, setBusy] = useState(false);
  const [running, setRunning] = useState(false);

  const key = draftKey(me.user.id, pipeline.id, base.number);
  const [draft, setDraft] = useState<Draft | undefined>(() => readDraft(key));
  const begun = useRef(false);
  useEffect(() => {
    if (begun.current) return;
    begun.current = true;
    if (draft && mayWrite) replace(draft.text);
  }, [draft, mayWrite, replace]);
  useDraft(key, text, base.text, mayWrite && begun.current);

  const { faults, state } = useCheck(text, editing.doc, { id: pipeline.id }, mayWrite);
  const shared = useMemo(() => ({ editing, faults, project: pipeline.project }), [editing, faults, pipeline.project]);

  const leaving = useBlocker({
    shouldBlockFn: ({ current, next }) => changed && current.pathname !== next.pathname,
    enableBeforeUnload: changed,
    withResolver: true,
  });

  const refresh = useCallback(() => queries.invalidateQueries({ queryKey: ["pipelines"] }), [queries]);
  const mine = useRef(false); // a change is under way that this page makes

  // change does what changes the pipeline, as it was when it was looked at.
  const change = async (act: (tag: string) => Promise<string | null>): Promise<boolean> => {
    mine.current = true;
    setBusy(true);
    try {
      const tag = await act(tagOf(base.revision));
      const revision = Number(tag?.replaceAll('"', "")) || base.revision;
      setBase((b) => ({ ...b, revision }));
      await refresh();
      return true;
    } catch (e) {
      if (asProblem(e).status === 412)
        await refresh(); // what happened meanwhile is told above
      else tellFault(e);
      return false;
    } finally {
      mine.current = false;
      setBusy(false);
    }
  };
  const headers = (tag: string) => ({ "If-Match": tag, ...once() });
  const params = (tag: string) => ({ path: { id: pipeline.id }, header: headers(tag) });

  const save = async (publish: boolean) => {
    if (editing.broken) return tell(`Line ${editing.broken.line} of the YAML cannot be read. Mend it first.`);
    await change(async (tag) => {
      const answer = await api.POST("/api/v1/pipelines/{id}/versions", {
        params: params(tag),
        body: { source: text, publish },
      });
      const saved = got(answer);
      dropDraft(key);
      setDraft(undefined);
      setBase((b) => ({ ...b, number: saved.number, newest: Math.max(saved.number, b.newest), text }));
      tell(publish ? `Version ${saved.number} is published: new runs use it.` : `Saved as version ${saved.number}.`);
      return answer.response.headers.get("ETag");
    });
  };
  const publish = (number: number) =>
    change(async (tag) => {
      const { response } = await api.POST("/api/v1/pipelines/{id}/publish", {
        params: params(tag),
        body: { version: number },
      });
      tell(`Version ${number} is published: new runs use it.`);
      return response.headers.get("ETag");
    });
  const rollBack = () =>
    change(async (tag) => {
      const answer = await api.POST("/api/v1/pipelines/{id}/rollback", { params: params(tag) });
      tell(`New runs use version ${got(answer).published} again.`);
      return answer.response.headers.get("ETag");
    });
  const remove = async () => {
    await api.DELETE("/api/v1/pipelines/{id}", { params: params(tagOf(pipeline.revision)) });
    dropDraft(key);
    editing.restart(base.text);
    tell(`${pipeline.name} is deleted. Its runs stay.`);
    await navigate({ to: "/pipelines", ignoreBlocker: true });
    await refresh();
  };
  const open = async (number: number) => {
    const theirs = await queries.fetchQuery(versionQuery(pipeline.id, number));
    dropDraft(key);
    setDraft(undefined);
    const next = textOf(theirs.definition);
    setBase({ number, newest: Math.max(newest, number), revision: pipeline.revision, text: next });
    editing.restart(next);
  };

  const later = !mine.current && newest > base.newest;
  // What was only published or rolled back elsewhere needs no decision.
  useEffect(() => {
    if (!mine.current && newest === base.newest && pipeline.revision > base.revision) {
      setBase((b) => ({ ...b, revision: pipeline.revision }));
    }
  }, [newest, base.newest, base.revision, pipeline.revision]);

  return (
    <EditorContext.Provider value={shared}>
      <Frame
        title={pipeline.name}
        about={
          <>
            {pipeline.project} · version {base.number}
            {base.number === pipeline.published ? ", published" : `; ${pipeline.published} is published`}{" "}
            {changed && <Badge tone="wait">not saved</Badge>}
          </>
        }
        actions={
          <Toolbar
            pipeline={pipeline}
            number={base.number}
            changed={changed}
            busy={busy}
            mayWrite={mayWrite}
            mayRun={mayRun}
            faulty={faults.length > 0 || editing.broken !== undefined}
            onSave={save}
            onPublish={() => publish(base.number)}
            onRollBack={rollBack}
            onRun={() => setRunning(true)}
            onDelete={remove}
            onDiscard={() => replace(base.text)}
          />
        }
        notes={
          <>
            {draft && changed && (
              <Note
                actions={
                  <>
                    <Button small onClick={() => setDraft(undefined)}>
                      Go on with them
                    </Button>
                    <Button
                      small
                      onClick={() => {
                        setDraft(undefined);
                        replace(base.text);
                      }}
                    >
                      Drop them
                    </Button>
                  </>
                }
              >
                Here are your changes from <Ago at={draft.at} />, which were not saved.
              </Note>
            )}
            {later && (
              <Note
                actions={
                  <>
                    <Link
                      to="/pipelines/$id"
                      params={{ id: pipeline.id }}
                      search={{ tab: "versions" }}
                      className="link"
                    >
                      Compare
                    </Link>
                    <Button small onClick={() => void open(newest).catch(tellFault)}>
                      {changed ? "Drop mine and open it" : "Open it"}
                    </Button>
                    <Button small onClick={() => setBase((b) => ({ ...b, newest, revision: pipeline.revision }))}>
                      {changed ? "Keep mine" : "Stay here"}
                    </Button>
                  </>
                }
              >
                Somebody saved version {newest} meanwhile. What is here builds on version {base.number}.
              </Note>
            )}
          </>
        }
      >
        <nav aria-label="Parts of the pipeline" className="flex gap-1 border-b bg-card px-3">
          {tabs.map((t) => (
            <Link
              key={t.tab}
              from="/pipelines/$id"
              to="/pipelines/$id"
              search={({ tab: _, ...rest }) => (t.tab === "graph" ? rest : { ...rest, tab: t.tab })}
              aria-current={tab === t.tab ? "page" : undefined}
              className={cx(
                "border-b-2 px-2 py-1.5 text-xs font-medium",
                tab === t.tab ? "border-accent text-accent-deep" : "border-transparent text-soft hover:text-ink",
              )}
            >
              {t.label}
            </Link>
          ))}
        </nav>
        <Suspense fallback={<Loading />}>
          {tab === "versions" ? (
            <Versions
              pipeline={pipeline}
              base={base.number}
              text={changed ? text : undefined}
              mayWrite={mayWrite}
              onPublish={publish}
              onRestore={async (number) => {
                const old = await queries.fetchQuery(versionQuery(pipeline.id, number));
                replace(textOf(old.definition));
                tell(`What version ${number} says is in the editor. Save it to make it the newest version.`);
                await navigate({ search: ({ tab: _, ...rest }) => rest });
              }}
            />
          ) : tab === "runs" ? (
            <RunsTab pipeline={pipeline.id} onRun={mayRun ? () => setRunning(true) : undefined} />
          ) : (
            <Workbench checking={state} noComments={/^\s*#|\s#\s/m.test(text)} />
          )}
        </Suspense>
      </Frame>
      {running && (
        <Suspense fallback={null}>
          <RunDialog pipeline={pipeline} number={base.number} changed={changed} onClose={() => setRunning(false)} />
        </Suspense>
      )}
      <Confirm
        open={leaving.status === "blocked"}
        onClose={() => leaving.status === "blocked" && leaving.reset()}
        title="Leave without saving?"
        verb="Leave"
        act={async () => leaving.status === "blocked" && leaving.proceed()}
      >
        The changes are kept in this browser and offered when you open this version again.
      </Confirm>
    </EditorContext.Provider>
  );
}
