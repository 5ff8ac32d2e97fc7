import { useQueryClient } from "@tanstack/react-query";
import { useBlocker, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState } from "react";
import { api, got, once } from "@/api/client";
import { useMay, useMe } from "@/api/me";
import { Button } from "@/kit/button";
import { Confirm } from "@/kit/dialog";
import { Field } from "@/kit/field";
import { Empty } from "@/kit/note";
import { Card, Page } from "@/kit/page";
import { tell, tellFault } from "@/kit/toast";
import { useCheck } from "./check";
import { useProjects } from "./data";
import { draftKey, dropDraft, readDraft, useDraft } from "./draft";
import { Frame } from "./frame";
import { EditorContext, useEditing } from "./state";
import { empty, templates } from "./templates";
import { UndoRedo, useSaveKey } from "./toolbar";
import Workbench from "./workbench";

// Begun is a pipeline that is not stored yet.
export default function Begun() {
  const me = useMe();
  const may = useMay();
  const search = useSearch({ from: "/inside/pipelines/new" });
  const projects = useProjects().filter((p) => may("pipelines.write", p.id));
  const [project, setProject] = useState(search.project);
  const key = draftKey(me.user.id, "new", 0);
  const [first, setFirst] = useState<string | undefined>(() => readDraft(key)?.text);
  if (!may("pipelines.write")) {
    return (
      <Empty title="You may not make pipelines">
        An administrator of a project can give you the role of an editor.
      </Empty>
    );
  }
  const into = project ?? (projects.some((p) => p.id === "default") ? "default" : projects[0]?.id) ?? "default";
  const choose = (
    <Field label="Project" hidden={first !== undefined}>
      {(p) => (
        <select {...p} className="input !w-auto" value={into} onChange={(e) => setProject(e.target.value)}>
          {projects.length === 0 && <option value={into}>{into}</option>}
          {projects.map((o) => (
            <option key={o.id} value={o.id}>
              {o.name || o.id}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
  if (first === undefined) return <Choice onChoose={setFirst}>{choose}</Choice>;
  return (
    <Unsaved
      first={first}
      draft={key}
      project={into}
      choose={choose}
      onOther={() => {
        dropDraft(key);
        setFirst(undefined);
      }}
    />
  );
}

function Choice({ onChoose, children }: { onChoose: (text: string) => void; children: React.ReactNode }) {
  const [pasted, setPasted] = useState("");
  return (
    <Page
      title="New pipeline"
      about="A pipeline is a graph of steps. Begin from one that works, or from nothing."
      actions={children}
    >
      <ul className="grid gap-3 md:grid-cols-2">
        {[
          ...templates,
          { title: "Empty", about: "A trigger alone. Add what comes after it on the canvas.", text: empty },
        ].map((t) => (
          <li key={t.title}>
            <button
              type="button"
              onClick={() => onChoose(t.text)}
              className="h-full w-full rounded-lg border bg-card p-4 text-left hover:border-accent hover:bg-sunken"
            >
              <span className="block font-medium">{t.title}</span>
              <span className="text-soft">{t.about}</span>
            </button>
          </li>
        ))}
      </ul>
      <Card title="Paste a definition">
        <Field label="YAML or JSON">
          {(p) => (
            <textarea
              {...p}
              className="input font-mono text-xs"
              rows={6}
              placeholder={empty}
              value={pasted}
              onChange={(e) => setPasted(e.target.value)}
            />
          )}
        </Field>
        <Button className="mt-3" look="main" disabled={pasted.trim() === ""} onClick={() => onChoose(pasted)}>
          Open it in the editor
        </Button>
      </Card>
    </Page>
  );
}

interface UnsavedProps {
  first: string;
  draft: string;
  project: string;
  choose: React.ReactNode;
  onOther: () => void;
}

function Unsaved({ first, draft, project, choose, onOther }: UnsavedProps) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const editing = useEditing(first, false);
  const { text, model } = editing;
  const { faults, state } = useCheck(text, editing.doc, { project }, true);
  const shared = useMemo(() => ({ editing, faults, project }), [editing, faults, project]);
  const [busy, setBusy] = useState(false);
  const [other, setOther] = useState(false);
  const stored = useRef(false);
  useDraft(draft, text, "", !busy);
  const leaving = useBlocker({
    shouldBlockFn: () => !stored.current && text !== first,
    enableBeforeUnload: () => !stored.current && text !== first,
    withResolver: true,
  });
  const create = async () => {
    if (busy) return;
    if (editing.broken) return tell(`Line ${editing.broken.line} of the YAML cannot be read. Mend it first.`);
    setBusy(true);
    try {
      const made = got(
        await api.POST("/api/v1/pipelines", { params: { header: once() }, body: { source: text, project } }),
      );
      stored.current = true;
      dropDraft(draft);
      void queries.invalidateQueries({ queryKey: ["pipelines"] });
      tell(`${made.name} is stored, and its first version published.`);
      await navigate({ to: "/pipelines/$id", params: { id: made.id } });
    } catch (e) {
      tellFault(e);
      setBusy(false);
    }
  };
  useSaveKey(() => void create());
  useEffect(() => {
    const trigger = document.querySelector<HTMLElement>("#main");
    trigger?.focus();
  }, []);
  return (
    <EditorContext.Provider value={shared}>
      <Frame
        title={model.name || "New pipeline"}
        about="not stored yet"
        actions={
          <>
            <UndoRedo />
            {choose}
            <Button onClick={() => (text === first ? onOther() : setOther(true))}>Begin otherwise</Button>
            <Button look="main" busy={busy} onClick={() => void create()} title="Ctrl S">
              Create
            </Button>
          </>
        }
      >
        <Workbench checking={state} noComments={/^\s*#|\s#\s/m.test(text)} />
      </Frame>
      <Confirm
        open={other}
        onClose={() => setOther(false)}
        title="Begin otherwise?"
        verb="Drop this"
        danger
        act={async () => onOther()}
      >
        What you wrote here is dropped.
      </Confirm>
      <Confirm
        open={leaving.status === "blocked"}
        onClose={() => leaving.status === "blocked" && leaving.reset()}
        title="Leave without creating it?"
        verb="Leave"
        act={async () => leaving.status === "blocked" && leaving.proceed()}
      >
        What you wrote is kept in this browser and is here again when you come back to make a pipeline.
      </Confirm>
    </EditorContext.Provider>
  );
}
