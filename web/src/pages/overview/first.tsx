import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { base } from "@/api/base";
import { api, got, once } from "@/api/client";
import { useMay } from "@/api/me";
import { Button, lookOf } from "@/kit/button";
import { CopyButton } from "@/kit/copy";
import { Fault } from "@/kit/note";
import { Card } from "@/kit/page";
import example from "./example.yaml?raw";

const home = "default"; // the project that is there from the start

// FirstSteps stands where no run is yet: it leads to the first one.
export function FirstSteps() {
  const may = useMay();
  const pipelines = useQuery({
    queryKey: ["pipelines", "first"],
    queryFn: async ({ signal }) =>
      got(await api.GET("/api/v1/pipelines", { params: { query: { limit: 1 } }, signal })).items.length > 0,
    enabled: may("pipelines.read"),
  });
  if (!may("runs.start")) {
    return (
      <Card title="Nothing has run yet">
        <p className="max-w-prose text-soft">
          As soon as a pipeline runs it is seen here, live. You may look at pipelines and runs; those who may start them
          are operators and administrators.
        </p>
      </Card>
    );
  }
  return (
    <Card title="Ways to a first run">
      <ol className="flex flex-col gap-5 py-1 [counter-reset:way]">
        {may("pipelines.write", home) && may("runs.start", home) && (
          <Step title="Look at one">
            <p>
              A small pipeline with a model that is built in, so that it needs no key. It is stored as{" "}
              <b>first-steps</b>, started at once, and you see each node as it works. Then change it, and run it again.
            </p>
            <Example />
          </Step>
        )}
        <Step title={pipelines.data ? "Run one of yours" : "Make your own"}>
          <p>
            A pipeline is made of nodes that need each other: agents, tools, conditions, delays. Draw it or write it as
            YAML; faults are shown in place as you type.
          </p>
          <span className="flex flex-wrap gap-2">
            {may("pipelines.write") && (
              <Link to="/pipelines/new" className={lookOf()}>
                New pipeline
              </Link>
            )}
            {pipelines.data && (
              <Link to="/pipelines" className={lookOf()}>
                Stored pipelines
              </Link>
            )}
          </span>
        </Step>
        <Step title="From the command line">
          <p>
            With a file from <code>examples/</code>, asking this service. Its token is made under{" "}
            <Link to="/account" className="link">
              My account
            </Link>
            .
          </p>
          <Line
            text={`gathering run examples/triage.yaml --set text="It is down" --server ${location.origin}${base} --token gat_…`}
          />
        </Step>
      </ol>
    </Card>
  );
}

function Step({ title, children }: { title: string; children: ReactNode }) {
  return (
    <li className="flex gap-3">
      <span
        aria-hidden
        className="flex size-7 shrink-0 items-center justify-center rounded-full bg-accent-soft font-semibold text-accent-deep [counter-increment:way] before:content-[counter(way)]"
      />
      <div className="min-w-0 flex-1">
        <h3 className="font-medium">{title}</h3>
        <div className="flex max-w-prose flex-col gap-2 text-soft">{children}</div>
      </div>
    </li>
  );
}

// Example stores the example and starts a run of it. One that is stored already is run again.
function Example() {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const make = useMutation({
    mutationFn: async () => {
      const stored = got(
        await api.GET("/api/v1/pipelines", { params: { query: { project: home, name: "first-steps" } } }),
      );
      const pipeline =
        stored.items[0] ??
        got(
          await api.POST("/api/v1/pipelines", {
            params: { header: once() },
            body: { project: home, source: example },
          }),
        );
      return got(
        await api.POST("/api/v1/pipelines/{id}/runs", {
          params: { path: { id: pipeline.id }, header: once() },
          body: { input: { text: "How do I change my avatar? I like the old one no more. Thank you." } },
        }),
      );
    },
    onSuccess: async (run) => {
      await queries.invalidateQueries({ queryKey: ["pipelines"] });
      await navigate({ to: "/runs/$id", params: { id: run.id } });
    },
  });
  return (
    <>
      <span>
        <Button look="main" busy={make.isPending} onClick={() => make.mutate()}>
          Run the example
        </Button>
      </span>
      {make.isError && <Fault error={make.error} />}
    </>
  );
}

function Line({ text }: { text: string }) {
  return (
    <span className="flex items-center gap-1 rounded-md bg-sunken pl-3">
      <code className="min-w-0 flex-1 py-2 text-xs break-all whitespace-pre-wrap text-ink">{text}</code>
      <CopyButton text={() => text} label="Copy the command" />
    </span>
  );
}
