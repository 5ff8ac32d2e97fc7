import type { Pipeline } from "@/api/client";

interface VersionsProps {
  pipeline: Pipeline;
  base: number; // the version that is open in the editor
  text: string | undefined; // what is in the editor and not saved
  mayWrite: boolean;
  onPublish: (number: number) => Promise<unknown>;
  onRestore: (number: number) => Promise<unknown>;
}

export default function Versions(_: VersionsProps) {
  return null;
}
