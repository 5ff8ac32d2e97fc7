import { Page } from "@/kit/page";

export function Projects() {
  return <Page title="Projects">…</Page>;
}

export function ProjectPage() {
  return <Page title="Project">…</Page>;
}
