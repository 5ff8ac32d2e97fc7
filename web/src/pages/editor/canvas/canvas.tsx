import "@xyflow/react/dist/style.css";
import {
  Background,
  type Connection,
  type Edge as FlowEdge,
  MarkerType,
  MiniMap,
  type NodeChange,
  type OnConnectEnd,
  Panel,
  ReactFlow,
  ReactFlowProvider,
  SelectionMode,
  useReactFlow,
} from "@xyflow/react";
import { Focus, Map as MapIcon, Minus, Plus, Wand2 } from "lucide-react";
import { type DragEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { IconButton } from "@/kit/button";
import { tell } from "@/kit/toast";
import { useDark } from "@/shell/theme";
import { connect, place, unplace } from "../model/edits";
import { heightOf, layout, type Point, waysOf, width } from "../model/layout";
import { type Edge, edgeId, refusal } from "../model/model";
import { useEditor } from "../state";
import { branchOf, Drawn, type DrawnNode, handleOf, wayName } from "./drawn";

const nodeTypes = { node: Drawn };
export const dragType = "application/x-gathering-kind";

interface CanvasProps {
  marked: ReadonlySet<string>; // edges that are selected, by ID
  onMark: (edges: ReadonlySet<string>) => void;
  onAdd: (what: string, at?: Point, near?: Omit<Edge, "to">) => void; // something from the palette
  onAskAdd: (at: Point, near: Omit<Edge, "to">) => void; // an edge was drawn to where nothing is
  focus?: { node: string } | undefined; // a node to show; a new object shows it again
}

export function Canvas(props: CanvasProps) {
  return (
    <ReactFlowProvider>
      <Inner {...props} />
    </ReactFlowProvider>
  );
}

function Inner({ marked, onMark, onAdd, onAskAdd, focus }: CanvasProps) {
  const { editing, faults } = useEditor();
  const { model, selected, select, edit } = editing;
  const fixed = editing.readOnly || editing.broken !== undefined;
  const dark = useDark();
  const flow = useReactFlow();
  const [dragged, setDragged] = useState<ReadonlyMap<string, Point>>(new Map());
  const [map, setMap] = useState(false);
  const at = useMemo(() => layout(model), [model]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once the model has the new places, those of the drag are over
  useEffect(() => setDragged(new Map()), [model]);

  const nodes = useMemo<DrawnNode[]>(() => {
    const wrong = new Map<string, string[]>();
    for (const f of faults) if (f.node) wrong.set(f.node, [...(wrong.get(f.node) ?? []), f.problem]);
    return model.nodes.map((node) => {
      const [x, y] = dragged.get(node.id) ?? at.get(node.id) ?? [0, 0];
      const ways = waysOf(model, node);
      const height = heightOf(ways.length);
      return {
        id: node.id,
        type: "node",
        position: { x, y },
        width,
        height,
        selected: selected.has(node.id),
        data: { node, ways, faults: wrong.get(node.id) ?? [], fixed },
        ariaLabel: `${node.kind} ${node.name || node.id}`,
      };
    });
  }, [model, at, dragged, selected, faults, fixed]);

  const edges = useMemo<FlowEdge[]>(
    () =>
      model.edges.map((e) => {
        const colour = marked.has(edgeId(e))
          ? "var(--accent)"
          : e.branch === "error"
            ? "var(--bad)"
            : "var(--strong-line)";
        return {
          id: edgeId(e),
          source: e.from,
          target: e.to,
          sourceHandle: handleOf(e.branch),
          selected: marked.has(edgeId(e)),
          markerEnd: { type: MarkerType.ArrowClosed, color: colour },
          style: { stroke: colour, strokeWidth: marked.has(edgeId(e)) ? 2.5 : 1.5 },
          ariaLabel: `from ${e.from}, ${wayName(e.branch)}, to ${e.to}`,
        };
      }),
    [model, marked],
  );

  const moved = useCallback(
    (changes: NodeChange<DrawnNode>[]) => {
      const chosen = new Set(selected);
      const still = new Map<string, Point>();
      const moving = new Map<string, Point>();
      for (const c of changes) {
        if (c.type === "select") {
          if (c.selected) chosen.add(c.id);
          else chosen.delete(c.id);
        } else if (c.type === "position" && c.position) {
          (c.dragging ? moving : still).set(c.id, [Math.round(c.position.x), Math.round(c.position.y)]);
        }
      }
      if (changes.some((c) => c.type === "select")) select(chosen);
      if (moving.size > 0) setDragged((old) => new Map([...old, ...moving]));
      const kept = new Map([...still].filter(([id, [x, y]]) => at.get(id)?.[0] !== x || at.get(id)?.[1] !== y));
      if (kept.size > 0 && !fixed) {
        setDragged((old) => new Map([...old, ...kept]));
        edit(place(kept), true);
      }
    },
    [selected, select, at, fixed, edit],
  );

  const join = (c: Connection): Edge => ({ from: c.source, to: c.target, branch: branchOf(c.sourceHandle) });
  const ended: OnConnectEnd = (event, state) => {
    const from = state.fromNode?.id;
    if (!from || state.isValid || state.fromHandle?.type !== "source") return;
    const point = "changedTouches" in event ? event.changedTouches[0] : event;
    if (!point) return;
    const near = { from, branch: branchOf(state.fromHandle.id) };
    const under = document.elementFromPoint(point.clientX, point.clientY);
    const to = state.toNode?.id ?? under?.closest<HTMLElement>(".react-flow__node")?.dataset.id;
    if (to) {
      const why = refusal(model, { ...near, to });
      if (why) tell(why);
      else edit(connect({ ...near, to }));
    } else if (under?.closest(".react-flow__pane")) {
      const { x, y } = flow.screenToFlowPosition({ x: point.clientX, y: point.clientY });
      onAskAdd([Math.round(x), Math.round(y - 29)], near);
    }
  };

  const dropped = (event: DragEvent) => {
    const what = event.dataTransfer.getData(dragType);
    if (!what || fixed) return;
    event.preventDefault();
    const { x, y } = flow.screenToFlowPosition({ x: event.clientX, y: event.clientY });
    onAdd(what, [Math.round(x - width / 2), Math.round(y - 29)]);
  };

  useEffect(() => {
    if (!focus) return;
    void flow.fitView({ nodes: [{ id: focus.node }], maxZoom: 1, minZoom: 0.6, duration: calm() });
  }, [focus, flow]);

  // A graph that was empty is shown whole once something is in it.
  const count = model.nodes.length;
  const before = useRef(count);
  useEffect(() => {
    if (before.current === 0 && count > 0) void flow.fitView({ maxZoom: 1, duration: calm() });
    before.current = count;
  }, [count, flow]);

  return (
    <ReactFlow
      nodes={nodes}
      edges={edges}
      nodeTypes={nodeTypes}
      colorMode={dark ? "dark" : "light"}
      onNodesChange={moved}
      onEdgesChange={(changes) => {
        const next = new Set(marked);
        for (const c of changes) {
          if (c.type !== "select") continue;
          if (c.selected) next.add(c.id);
          else next.delete(c.id);
        }
        onMark(next);
      }}
      onConnect={(c) => edit(connect(join(c)))}
      isValidConnection={(c) => !refusal(model, join(c as Connection))}
      onConnectEnd={ended}
      onDragOver={(e) => e.dataTransfer.types.includes(dragType) && e.preventDefault()}
      onDrop={dropped}
      nodesDraggable={!fixed}
      nodesConnectable={!fixed}
      deleteKeyCode={null}
      selectionMode={SelectionMode.Partial}
      fitView
      fitViewOptions={{ maxZoom: 1, padding: 0.15 }}
      minZoom={0.1}
      maxZoom={2}
      proOptions={{ hideAttribution: true }}
      onlyRenderVisibleElements={count > 150}
      className="!bg-ground"
      aria-label="Graph of the pipeline"
    >
      <Background color="var(--line)" />
      {map && (
        <MiniMap pannable zoomable nodeColor="var(--strong-line)" bgColor="var(--card)" maskColor="var(--sunken)" />
      )}
      <Panel position="bottom-left" className="!m-2 flex rounded-md border bg-card">
        <IconButton label="Zoom in" onClick={() => void flow.zoomIn({ duration: calm() })}>
          <Plus aria-hidden size={15} />
        </IconButton>
        <IconButton label="Zoom out" onClick={() => void flow.zoomOut({ duration: calm() })}>
          <Minus aria-hidden size={15} />
        </IconButton>
        <IconButton label="Show all" onClick={() => void flow.fitView({ maxZoom: 1, padding: 0.15, duration: calm() })}>
          <Focus aria-hidden size={15} />
        </IconButton>
        <IconButton label="Map" aria-pressed={map} onClick={() => setMap(!map)}>
          <MapIcon aria-hidden size={15} />
        </IconButton>
        {!fixed && (
          <IconButton label="Tidy up: lay out all nodes anew" onClick={() => edit(unplace)}>
            <Wand2 aria-hidden size={15} />
          </IconButton>
        )}
      </Panel>
    </ReactFlow>
  );
}

const calm = (): number => (matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 200);
