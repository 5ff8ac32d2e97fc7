import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, got, once } from "@/api/client";
import type { Problem } from "@/api/problem";
import { Confirm } from "@/kit/dialog";
import { Field } from "@/kit/field";
import { FormDialog } from "@/kit/form";
import { tell } from "@/kit/toast";
import type { Project } from ".";

interface AboutProps {
  name: string;
  setName: (name: string) => void;
  description: string;
  setDescription: (description: string) => void;
  required?: boolean; // a name may not be left out
  problem: Problem | undefined;
}

// About is the fields of what a project is called and for.
function About({ name, setName, description, setDescription, required, problem }: AboutProps) {
  return (
    <>
      <Field
        label="Name"
        hint={required ? "As people see it." : "As people see it; the ID where it is left out."}
        problem={problem?.field("name")}
      >
        {(props) => (
          <input
            {...props}
            className="input"
            autoComplete="off"
            required={required}
            maxLength={200}
            value={name}
            onChange={(e) => setName(e.target.value)}
          />
        )}
      </Field>
      <Field label="What it is for" problem={problem?.field("description")}>
        {(props) => (
          <textarea
            {...props}
            className="input"
            rows={3}
            maxLength={4000}
            value={description}
            onChange={(e) => setDescription(e.target.value)}
          />
        )}
      </Field>
    </>
  );
}

export function AddProject({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [id, setID] = useState("");
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [key] = useState(once); // who asks again after a lost answer does not make two
  const act = async () => {
    const project = got(
      await api.POST("/api/v1/projects", {
        params: { header: key },
        body: { id, ...(name && { name }), ...(description && { description }) },
      }),
    );
    await queries.invalidateQueries({ queryKey: ["projects"] });
    await navigate({ to: "/projects/$id", params: { id: project.id } });
  };
  return (
    <FormDialog title="New project" verb="Make it" act={act} onClose={onClose}>
      {(problem) => (
        <>
          <Field
            label="ID"
            hint="Small letters, digits, - and _, with a letter first. It stays: files and programs name the project by it."
            problem={problem?.field("id")}
          >
            {(props) => (
              <input
                {...props}
                className="input font-mono"
                autoComplete="off"
                autoCapitalize="none"
                spellCheck={false}
                required
                maxLength={63}
                pattern="[a-z][a-z0-9_\-]*"
                value={id}
                onChange={(e) => setID(e.target.value)}
              />
            )}
          </Field>
          <About {...{ name, setName, description, setDescription, problem }} />
        </>
      )}
    </FormDialog>
  );
}

interface DeedProps {
  project: Project;
  onClose: () => void;
}

// revisionOf is the header by which nothing is changed that somebody else just did.
function revisionOf(project: Project) {
  return { ...once(), "If-Match": `"${project.revision}"` };
}

export function EditProject({ project, onClose }: DeedProps) {
  const queries = useQueryClient();
  const [name, setName] = useState(project.name);
  const [description, setDescription] = useState(project.description);
  const act = async () => {
    await api.PATCH("/api/v1/projects/{id}", {
      params: { path: { id: project.id }, header: revisionOf(project) },
      body: { name, description },
    });
    await queries.invalidateQueries({ queryKey: ["projects"] });
  };
  return (
    <FormDialog title={`Change ${project.id}`} verb="Change" act={act} onClose={onClose}>
      {(problem) => <About {...{ name, setName, description, setDescription, problem }} required />}
    </FormDialog>
  );
}

export function DeleteProject({ project, onClose }: DeedProps) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const act = async () => {
    await api.DELETE("/api/v1/projects/{id}", {
      params: { path: { id: project.id }, header: revisionOf(project) },
    });
    tell(`The project ${project.id} was deleted`);
    await navigate({ to: "/projects" });
    await queries.invalidateQueries({ queryKey: ["projects"] });
  };
  return (
    <Confirm open onClose={onClose} title={`Delete the project ${project.id}?`} verb="Delete" danger act={act}>
      Its memberships go with it. Only one that holds nothing can be deleted: see to its pipelines and runs first.
    </Confirm>
  );
}
