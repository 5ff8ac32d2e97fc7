import { List as ListIcon, Network } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { Button } from "@/kit/button";
import { Loading } from "@/kit/note";
import type { RunFold } from "./fold";
import type { Graph } from "./graph";
import { NodeList } from "./node-list";

const Flow = lazy(() => import("./flow"));

export interface View {
  run: RunFold;
  graph: Graph | undefined;
  selected: string | undefined; // the path of a node
  select: (path: string | undefined) => void;
}

// Nodes shows where the nodes stand: as a graph, or where there is little room
// or one prefers it, as a list.
export function Nodes(view: View) {
  const [listed, setListed] = useState(() => matchMedia("(max-width: 48rem)").matches);
  if (!view.graph) return <Loading what="Reading the pipeline" />;
  return (
    <div className="relative flex min-h-0 flex-1 flex-col gap-2">
      <div className="flex gap-1">
        <Button small aria-pressed={!listed} look={listed ? "quiet" : "plain"} onClick={() => setListed(false)}>
          <Network aria-hidden size={14} /> Graph
        </Button>
        <Button small aria-pressed={listed} look={listed ? "plain" : "quiet"} onClick={() => setListed(true)}>
          <ListIcon aria-hidden size={14} /> List
        </Button>
      </div>
      {listed ? (
        <NodeList {...view} graph={view.graph} />
      ) : (
        <Suspense fallback={<Loading />}>
          <Flow {...view} graph={view.graph} />
        </Suspense>
      )}
    </div>
  );
}
