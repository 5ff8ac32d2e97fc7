import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { FolderKanban, FolderPlus } from "lucide-react";
import { useState } from "react";
import { api, got, type Schemas } from "@/api/client";
import { useMay } from "@/api/me";
import { Button } from "@/kit/button";
import { Cells, List, pages } from "@/kit/list";
import { Empty } from "@/kit/note";
import { Page } from "@/kit/page";
import { Ago } from "@/kit/time";
import { AddProject } from "./deeds";

export { ProjectPage } from "./project";
export const home = "default"; // the project that is there from the start, and stays

export type Project = Schemas["Project"];

// Projects are those that one may see.
export function Projects() {
  const may = useMay();
  const [adding, setAdding] = useState(false);
  const query = useInfiniteQuery({
    queryKey: ["projects", "list"],
    queryFn: async ({ pageParam, signal }) =>
      got(await api.GET("/api/v1/projects", { params: { query: { limit: 100, cursor: pageParam } }, signal })),
    ...pages,
  });
  return (
    <Page
      title="Projects"
      about="A project holds pipelines and their runs, and has members who may do more in it than elsewhere."
      wide
      actions={
        may("projects.create") && (
          <Button look="main" onClick={() => setAdding(true)}>
            <FolderPlus aria-hidden size={16} /> New project
          </Button>
        )
      }
    >
      <List
        query={query}
        label="Projects"
        columns={3}
        height={61}
        head={
          <>
            <Cells of={["Project", "What it is for"]} />
            <th scope="col" className="max-sm:hidden">
              Made
            </th>
          </>
        }
        id={(p) => p.id}
        row={(p) => (
          <>
            <td>
              <Link to="/projects/$id" params={{ id: p.id }} className="link">
                {p.name}
              </Link>
              <code className="block text-xs text-soft">{p.id}</code>
            </td>
            <td>
              <span className="line-clamp-2 max-w-prose break-words">{p.description}</span>
            </td>
            <td className="max-sm:hidden">
              {Date.parse(p.created_at) > 0 ? <Ago at={p.created_at} /> : "from the start"}
            </td>
          </>
        )}
        empty={
          <Empty icon={FolderKanban} title="No projects for you yet">
            Ask an administrator to make you a member of one.
          </Empty>
        }
      />
      {adding && <AddProject onClose={() => setAdding(false)} />}
    </Page>
  );
}
