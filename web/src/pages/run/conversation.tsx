import { Bot, CircleUser, Wrench } from "lucide-react";
import { memo, type ReactNode, useEffect, useMemo, useRef } from "react";
import { money, plural, span } from "@/kit/format";
import { Json } from "@/kit/json";
import { Badge } from "@/kit/state";
import { failureText } from "./describe";
import { took } from "./events";
import { hasEnded, type NodeFold } from "./fold";
import { Prose } from "./prose";
import { type Called, type Exchange, exchangesOf, instruction } from "./turns";
import type { Writing } from "./writing";

interface ConversationProps {
  node: NodeFold;
  agent: boolean;
  writing: Writing | undefined; // what is said right now
}

// Conversation is what an agent was told, what it said and what it called.
export function Conversation({ node, agent, writing }: ConversationProps) {
  const exchanges = useMemo(() => exchangesOf(node), [node]);
  const task = agent ? instruction(node) : undefined;
  const over = hasEnded(node.state);
  return (
    <ol aria-label="Conversation" className="flex flex-col gap-3">
      {task !== undefined && (
        <Entry icon={<CircleUser aria-hidden size={15} />} who="Task">
          <Prose text={task} />
        </Entry>
      )}
      {agent && task === undefined && node.input !== undefined && (
        <Entry icon={<CircleUser aria-hidden size={15} />} who="Input">
          <Json value={node.input} label="Input" />
        </Entry>
      )}
      {exchanges.map((x, i) => (
        <Fragments key={x.key} x={x} over={over} retried={x.attempt > (exchanges[i - 1]?.attempt ?? 1)} />
      ))}
      {writing && <Live writing={writing} />}
    </ol>
  );
}

function Entry({
  icon,
  who,
  about,
  children,
}: {
  icon: ReactNode;
  who: string;
  about?: ReactNode;
  children: ReactNode;
}) {
  return (
    <li className="flex flex-col gap-1">
      <p className="flex flex-wrap items-center gap-x-2 gap-y-0.5 text-xs text-soft">
        {icon} <span className="font-medium text-ink">{who}</span>
        {about}
      </p>
      {children}
    </li>
  );
}

const Fragments = memo(
  function Fragments({ x, over, retried }: { x: Exchange; over: boolean; retried: boolean }) {
    return (
      <>
        {retried && <li className="border-t pt-1 text-xs text-soft">From here on it is attempt {x.attempt}.</li>}
        {x.step && <Said x={x} />}
        {x.calls.map((c) => (
          <Call key={c.key} call={c} over={over} />
        ))}
      </>
    );
  },
  (a, b) =>
    a.over === b.over &&
    a.retried === b.retried &&
    a.x.step === b.x.step &&
    a.x.calls.length === b.x.calls.length &&
    a.x.calls.every((c, i) => c.step === b.x.calls[i]?.step && c.intent === b.x.calls[i]?.intent),
);

// Said is what a model said in a turn.
function Said({ x: { step, turn } }: { x: Exchange }) {
  if (!step || !turn) return null;
  const u = step.usage;
  const thoughts = [turn.reasoning, ...(turn.thoughts ?? []).map((t) => t.text)].filter(Boolean).join("\n\n");
  const about = u && (
    <span>
      {plural(u.input_tokens, "token")} in, {plural(u.output_tokens, "token")} out
      {u.unpriced ? ", price unknown" : `, ${money(u.cost_micros ?? 0)}`}
      {step.took && `, ${span(took(step.took))}`}
      {(step.tries ?? 1) > 1 && `, ${step.tries} tries`}
    </span>
  );
  return (
    <Entry icon={<Bot aria-hidden size={15} />} who={step.name} about={about}>
      {step.fallback && <p className="text-xs text-wait">It answered because another did not: {step.fallback}</p>}
      {step.failure && <p className="text-bad">{failureText(step.failure)}</p>}
      {thoughts && (
        <details className="text-soft">
          <summary className="text-xs">What it thought</summary>
          <Prose text={thoughts} />
        </details>
      )}
      {turn.text && <Prose text={turn.text} />}
      {turn.finish && !["stop", "tool-calls", "tool_calls"].includes(turn.finish) && (
        <p className="text-xs text-wait">It ended early: {turn.finish}.</p>
      )}
      {turn.notes
        ?.filter((note) => !step.fallback || !note.includes(step.fallback)) // it is said above
        .map((note) => (
          <p key={note} className="text-xs text-soft">
            {note}
          </p>
        ))}
    </Entry>
  );
}

function Call({ call, over }: { call: Called; over: boolean }) {
  const { step } = call;
  return (
    <li className="ml-3 flex flex-col gap-1 border-l-2 pl-2">
      <p className="flex flex-wrap items-center gap-x-2 text-xs text-soft">
        <Wrench aria-hidden size={13} /> <code className="font-medium text-ink">{call.tool}</code>
        {step?.took && span(took(step.took))}
        {step?.failure && <Badge tone="bad">failed</Badge>}
        {!step &&
          (call.intent && over ? (
            <Badge tone="bad">no result is known</Badge>
          ) : (
            !over && <Badge tone="busy">under way</Badge>
          ))}
      </p>
      {call.arguments !== undefined && <Json value={call.arguments} label={`Arguments of ${call.tool}`} open={1} />}
      {step?.failure && <p className="break-words text-bad">{failureText(step.failure)}</p>}
      {step && !step.failure && <Json value={step.result} label={`Result of ${call.tool}`} open={1} />}
    </li>
  );
}

const nearEnd = 200; // pixels

// Live is what an agent says right now. It is not in the log yet.
function Live({ writing }: { writing: Writing }) {
  const end = useRef<HTMLDivElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: whoever reads at the end stays there as it grows
  useEffect(() => {
    const port = end.current?.closest("[data-port]");
    if (port && port.scrollHeight - port.scrollTop - port.clientHeight < nearEnd) port.scrollTop = port.scrollHeight;
  }, [writing]);
  return (
    <Entry
      icon={<Bot aria-hidden size={15} />}
      who={writing.model || "Now"}
      about={
        <>
          <Badge tone="busy">writing</Badge>
          {writing.try > 1 && <span>try {writing.try}</span>}
          {writing.gaps && <span>parts of it did not arrive; the log will have it whole</span>}
        </>
      }
    >
      {writing.thought && <p className="text-xs whitespace-pre-wrap text-soft">{writing.thought}</p>}
      {writing.text && <p className="break-words whitespace-pre-wrap">{writing.text}</p>}
      {writing.asking.length > 0 && <p className="text-xs text-soft">It asks for {writing.asking.join(", ")}.</p>}
      <div ref={end} />
    </Entry>
  );
}
