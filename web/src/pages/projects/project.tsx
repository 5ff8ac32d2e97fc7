import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { Pencil } from "lucide-react";
import { useState } from "react";
import { api, got } from "@/api/client";
import { useMay } from "@/api/me";
import { Button, lookOf } from "@/kit/button";
import { Fault, Loading } from "@/kit/note";
import { Page } from "@/kit/page";
import { home } from ".";
import { DeleteProject, EditProject } from "./deeds";
import { Members } from "./members";

// ProjectPage is one project: what it is for, and who may do what in it.
export function ProjectPage() {
  const { id } = useParams({ from: "/inside/projects/$id" });
  const may = useMay();
  const [deed, setDeed] = useState<"edit" | "delete">();
  const query = useQuery({
    queryKey: ["projects", "one", id],
    queryFn: async ({ signal }) => got(await api.GET("/api/v1/projects/{id}", { params: { path: { id } }, signal })),
  });
  const project = query.data;
  const close = () => setDeed(undefined);
  return (
    <Page
      title={project?.name ?? id}
      about={<code className="text-xs">{id}</code>}
      actions={
        project && (
          <>
            {may("pipelines.read", id) && (
              <Link to="/pipelines" search={{ project: id }} className={lookOf()}>
                Pipelines
              </Link>
            )}
            {may("runs.read", id) && (
              <Link to="/runs" search={{ project: id }} className={lookOf()}>
                Runs
              </Link>
            )}
            {may("projects.write", id) && (
              <Button onClick={() => setDeed("edit")}>
                <Pencil aria-hidden size={14} /> Change
              </Button>
            )}
            {may("projects.create") && id !== home && (
              <Button look="danger" onClick={() => setDeed("delete")}>
                Delete
              </Button>
            )}
          </>
        )
      }
    >
      {query.isPending && <Loading />}
      {query.isError && !project && <Fault error={query.error} retry={() => void query.refetch()} />}
      {project?.description && <p className="max-w-prose break-words whitespace-pre-wrap">{project.description}</p>}
      {project && <Members project={project} />}
      {project && deed === "edit" && <EditProject project={project} onClose={close} />}
      {project && deed === "delete" && <DeleteProject project={project} onClose={close} />}
    </Page>
  );
}
