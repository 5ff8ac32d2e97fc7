import {
  Background,
  BaseEdge,
  Controls,
  EdgeLabelRenderer,
  type EdgeProps,
  type Edge as FlowEdge,
  type Node as FlowNode,
  getBezierPath,
  Handle,
  MiniMap,
  type NodeProps,
  Position,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
} from "@xyflow/react";
import "@xyflow/react/dist/base.css";
import "./flow.css";
import {
  createContext,
  type KeyboardEvent,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { cx } from "@/kit/class";
import { ended, lookOfState } from "@/kit/state";
import { parsePath } from "./events";
import type { NodeFold } from "./fold";
import { type EdgeState, edgeState, type Graph, layout, type NodeDef, neighbour, size } from "./graph";
import { Card } from "./node-card";
import type { View } from "./nodes";

type CardNode = FlowNode<{ def: NodeDef; node: NodeFold | undefined; selected: boolean; down: boolean }, "card">;
type LineEdge = FlowEdge<{ state: EdgeState; branch: string }, "line">;

// Walk is how one goes through the graph by keyboard.
interface Walk {
  current: string | undefined; // the one node that Tab leads to
  select: (id: string) => void;
  key: (e: KeyboardEvent, id: string) => void;
}

const WalkContext = createContext<Walk>({ current: undefined, select: () => {}, key: () => {} });

const nodeTypes = { card: CardOf };
const edgeTypes = { line: Line };
const fit = { maxZoom: 1, padding: 0.08 };
const large = 40; // nodes from which on a map of the graph helps

export default function Flow(props: View & { graph: Graph }) {
  return (
    <ReactFlowProvider>
      <Canvas {...props} />
    </ReactFlowProvider>
  );
}

function Canvas({ run, graph, selected, select }: View & { graph: Graph }) {
  const flow = useReactFlow();
  const { places, down } = useMemo(() => layout(graph), [graph]);
  const chosen = selected && parsePath(selected).node;
  const made = useRef(new Map<string, CardNode>());
  const nodes = useMemo(() => {
    // A node that did not change stays the same object, and is not drawn again.
    const before = made.current;
    made.current = new Map();
    return graph.nodes.map((def) => {
      const node = run.nodes.get(def.id);
      const was = before.get(def.id);
      const same = was && was.data.def === def && was.data.node === node && was.data.selected === (def.id === chosen);
      const card: CardNode = same
        ? was
        : {
            id: def.id,
            type: "card",
            position: places.get(def.id) ?? { x: 0, y: 0 },
            width: size.width,
            height: size.height,
            data: { def, node, selected: def.id === chosen, down },
          };
      made.current.set(def.id, card);
      return card;
    });
  }, [graph, places, down, run.nodes, chosen]);
  const edges = useEdges(run, graph);
  const [at, setAt] = useState<string>();
  const current = at ?? (chosen && graph.byId.has(chosen) ? chosen : graph.nodes[0]?.id);
  const port = useRef<HTMLDivElement>(null);
  const moved = useRef(false); // somebody looks at a part of it
  useEffect(() => {
    if (!port.current) return;
    const watch = new ResizeObserver(() => {
      if (!moved.current) void flow.fitView(fit);
    });
    watch.observe(port.current);
    return () => watch.disconnect();
  }, [flow]);
  const show = useCallback(
    (id: string) => {
      const place = places.get(id);
      const view = port.current?.getBoundingClientRect();
      if (!place || !view) return;
      const corner = flow.flowToScreenPosition(place);
      const end = flow.flowToScreenPosition({ x: place.x + size.width, y: place.y + size.height });
      const inside = corner.x >= view.left && corner.y >= view.top && end.x <= view.right && end.y <= view.bottom;
      if (inside) return;
      moved.current = true;
      void flow.setCenter(place.x + size.width / 2, place.y + size.height / 2, { zoom: Math.max(flow.getZoom(), 0.7) });
    },
    [flow, places],
  );
  const walk = useMemo<Walk>(
    () => ({
      current,
      select,
      key: (e, id) => {
        const next = neighbour(places, id, e.key);
        if (!next) return;
        e.preventDefault();
        setAt(next);
        show(next);
        document.getElementById(`node-${next}`)?.focus({ preventScroll: true });
      },
    }),
    [current, select, places, show],
  );
  useEffect(() => {
    if (!chosen) return;
    const timer = setTimeout(() => show(chosen), 80); // the panel beside takes its room first
    return () => clearTimeout(timer);
  }, [chosen, show]);
  return (
    <WalkContext value={walk}>
      <div ref={port} className="min-h-72 flex-1 overflow-hidden rounded-lg border bg-sunken">
        <ReactFlow
          className="run-flow"
          aria-label="The nodes of the pipeline and how they lead to one another. Arrow keys go from node to node, Enter opens one."
          nodes={nodes}
          edges={edges}
          nodeTypes={nodeTypes}
          edgeTypes={edgeTypes}
          nodesDraggable={false}
          nodesConnectable={false}
          nodesFocusable={false}
          edgesFocusable={false}
          elementsSelectable={false}
          disableKeyboardA11y
          minZoom={0.05}
          maxZoom={1.5}
          fitView
          fitViewOptions={fit}
          onMoveStart={(by) => {
            moved.current ||= by !== null;
          }}
        >
          <Background gap={20} />
          <Controls
            showInteractive={false}
            fitViewOptions={fit}
            onZoomIn={() => {
              moved.current = true;
            }}
            onZoomOut={() => {
              moved.current = true;
            }}
            onFitView={() => {
              moved.current = false;
            }}
          />
          {graph.nodes.length > large && (
            <MiniMap
              pannable
              zoomable
              ariaLabel="Map of the graph"
              nodeClassName={(n) => toneOf((n as CardNode).data.node)}
            />
          )}
        </ReactFlow>
      </div>
      <Legend />
    </WalkContext>
  );
}

function toneOf(node: NodeFold | undefined): string {
  return `tone-${lookOfState(node?.state ?? "pending").tone}`;
}

function useEdges(run: View["run"], graph: Graph): LineEdge[] {
  const over = ended.includes(run.state);
  const made = useRef(new Map<string, LineEdge>());
  return useMemo(() => {
    const before = made.current;
    made.current = new Map();
    return graph.edges.map((e) => {
      const state = edgeState(e.branch, run.nodes.get(e.from), over);
      const was = before.get(e.id);
      const edge: LineEdge =
        was?.data?.state === state
          ? was
          : { id: e.id, source: e.from, target: e.to, type: "line", data: { state, branch: e.branch } };
      made.current.set(e.id, edge);
      return edge;
    });
  }, [graph, run.nodes, over]);
}

function CardOf({ data: { def, node, selected, down } }: NodeProps<CardNode>) {
  const { current, select, key } = useContext(WalkContext);
  return (
    <>
      <Handle type="target" position={down ? Position.Top : Position.Left} isConnectable={false} />
      <button
        type="button"
        id={`node-${def.id}`}
        tabIndex={current === def.id ? 0 : -1}
        aria-pressed={selected}
        className="nopan size-full rounded-lg"
        onClick={() => select(def.id)}
        onKeyDown={(e) => key(e, def.id)}
      >
        <Card def={def} node={node} selected={selected} />
      </button>
      <Handle type="source" position={down ? Position.Bottom : Position.Right} isConnectable={false} />
    </>
  );
}

function Line({ id, data, ...at }: EdgeProps<LineEdge>) {
  const [path, x, y] = getBezierPath(at);
  return (
    <>
      <BaseEdge id={id} path={path} className={`edge-${data?.state}`} />
      {data?.branch && (
        <EdgeLabelRenderer>
          <span
            className={cx(
              "absolute rounded bg-sunken px-1 text-xs",
              data.state === "taken" ? "font-medium" : "text-soft",
              data.state === "dead" && "line-through",
            )}
            style={{ transform: `translate(-50%, -50%) translate(${x}px, ${y}px)` }}
          >
            {data.branch}
          </span>
        </EdgeLabelRenderer>
      )}
    </>
  );
}

function Legend() {
  const lines: [EdgeState, string][] = [
    ["taken", "taken"],
    ["pending", "open"],
    ["dead", "not taken"],
  ];
  return (
    <ul aria-label="Lines" className="flex gap-4 text-xs text-soft">
      {lines.map(([state, words]) => (
        <li key={state} className="flex items-center gap-1.5">
          <svg aria-hidden="true" width="28" height="6" className="run-flow">
            <path d="M0 3H28" className={`edge-${state}`} />
          </svg>
          {words}
        </li>
      ))}
    </ul>
  );
}
