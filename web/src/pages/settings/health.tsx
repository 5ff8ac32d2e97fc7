import { useQuery } from "@tanstack/react-query";
import { Check, X } from "lucide-react";
import { base } from "@/api/base";
import { api } from "@/api/client";
import { asProblem } from "@/api/problem";
import { Button } from "@/kit/button";
import { Facts } from "@/kit/facts";
import { Loading } from "@/kit/note";
import { Card } from "@/kit/page";
import { Badge } from "@/kit/state";
import { Ago } from "@/kit/time";

interface Looked {
  alive: string; // what is wrong; "" where all is well
  ready: string;
  at: string;
}

// wrong is what is wrong with what was asked.
async function wrong(ask: () => Promise<unknown>): Promise<string> {
  try {
    await ask();
    return "";
  } catch (e) {
    return asProblem(e).message;
  }
}

async function look(signal: AbortSignal): Promise<Looked> {
  const [alive, ready] = await Promise.all([
    wrong(() => api.GET("/healthz", { signal })),
    wrong(() => api.GET("/readyz", { signal })),
  ]);
  return { alive, ready, at: new Date().toISOString() };
}

// version is that of the service, as the document of its API says.
async function version(signal: AbortSignal): Promise<string> {
  const answer = await fetch(`${base}/openapi.json`, { signal });
  const document: { info?: { version?: string } } = answer.ok ? await answer.json() : {};
  return document.info?.version || "unknown";
}

// Health is whether the service answers and takes requests, and which one it is.
export function Health() {
  const health = useQuery({ queryKey: ["health"], queryFn: ({ signal }) => look(signal), refetchInterval: 30_000 });
  const which = useQuery({ queryKey: ["version"], queryFn: ({ signal }) => version(signal) });
  return (
    <Card
      title="Service"
      actions={
        <Button small busy={health.isFetching} onClick={() => void health.refetch()}>
          Look again
        </Button>
      }
    >
      {health.data ? (
        <Facts
          of={[
            [
              "Version",
              which.isError ? "could not be read" : which.data && <code className="text-xs">{which.data}</code>,
            ],
            ["It answers", <Well key="alive" wrong={health.data.alive} />],
            ["It takes requests", <Well key="ready" wrong={health.data.ready} />],
            ["Looked at", <Ago key="at" at={health.data.at} />],
            [
              "API",
              <a key="api" className="link" href={`${base}/docs`}>
                Its documentation
              </a>,
            ],
          ]}
        />
      ) : (
        <Loading />
      )}
    </Card>
  );
}

function Well({ wrong }: { wrong: string }) {
  return wrong ? (
    <span className="flex items-start gap-2">
      <Badge tone="bad">
        <X aria-hidden size={13} /> no
      </Badge>
      <span className="break-words">{wrong}</span>
    </span>
  ) : (
    <Badge tone="good">
      <Check aria-hidden size={13} /> yes
    </Badge>
  );
}
