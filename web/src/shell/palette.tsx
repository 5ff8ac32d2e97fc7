import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Command } from "cmdk";
import { Moon, Plus, Sun, Workflow } from "lucide-react";
import { Dialog } from "radix-ui";
import { useState } from "react";
import { api, got } from "@/api/client";
import { useMay } from "@/api/me";
import { State } from "@/kit/state";
import { places } from "./places";
import { setTheme, useDark } from "./theme";

// Palette finds pages, pipelines, runs and what can be done, by typing.
export default function Palette({ onClose }: { onClose: () => void }) {
  const navigate = useNavigate();
  const may = useMay();
  const dark = useDark();
  const [sought, setSought] = useState("");
  const pipelines = useQuery({
    queryKey: ["pipelines", "all"],
    queryFn: async () => got(await api.GET("/api/v1/pipelines", { params: { query: { limit: 500 } } })),
    enabled: may("pipelines.read"),
  });
  const runs = useQuery({
    queryKey: ["runs", "latest"],
    queryFn: async () => got(await api.GET("/api/v1/runs", { params: { query: { limit: 20 } } })),
    enabled: may("runs.read"),
  });
  const go = (act: () => void) => {
    onClose();
    act();
  };
  const id = sought.trim();
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-40 bg-black/50" />
        <Dialog.Content
          aria-describedby={undefined}
          className="fixed top-[10dvh] left-1/2 z-50 w-[min(36rem,calc(100vw-2rem))] -translate-x-1/2 rounded-lg border bg-raised shadow-xl"
        >
          <Dialog.Title className="sr-only">Search</Dialog.Title>
          <Command label="Search" loop>
            <Command.Input
              value={sought}
              onValueChange={setSought}
              placeholder="A page, a pipeline, a run's ID, something to do"
              className="w-full border-b bg-transparent px-4 py-3 outline-none placeholder:text-soft"
            />
            <Command.List className="max-h-[60dvh] overflow-y-auto p-1 [&_[cmdk-group-heading]]:px-2 [&_[cmdk-group-heading]]:pt-2 [&_[cmdk-group-heading]]:pb-1 [&_[cmdk-group-heading]]:text-xs [&_[cmdk-group-heading]]:text-soft [&_[cmdk-item]]:flex [&_[cmdk-item]]:items-center [&_[cmdk-item]]:gap-2 [&_[cmdk-item]]:rounded [&_[cmdk-item]]:px-2 [&_[cmdk-item]]:py-2 [&_[data-selected=true]]:bg-sunken">
              <Command.Empty className="p-4 text-center text-soft">Nothing of that name</Command.Empty>
              {id.startsWith("run_") && (
                <Command.Item value={id} onSelect={() => go(() => void navigate({ to: "/runs/$id", params: { id } }))}>
                  Open the run {id}
                </Command.Item>
              )}
              <Command.Group heading="Pages">
                {places
                  .flatMap((g) => g.places)
                  .filter((p) => !p.action || may(p.action))
                  .map(({ to, label, icon: Icon, words }) => (
                    <Command.Item
                      key={to}
                      value={`${label} ${words ?? ""}`}
                      onSelect={() => go(() => void navigate({ to }))}
                    >
                      <Icon aria-hidden size={16} /> {label}
                    </Command.Item>
                  ))}
              </Command.Group>
              <Command.Group heading="Do">
                {may("pipelines.write") && (
                  <Command.Item onSelect={() => go(() => void navigate({ to: "/pipelines/new" }))}>
                    <Plus aria-hidden size={16} /> New pipeline
                  </Command.Item>
                )}
                <Command.Item value="theme light dark" onSelect={() => go(() => setTheme(dark ? "light" : "dark"))}>
                  {dark ? <Sun aria-hidden size={16} /> : <Moon aria-hidden size={16} />} {dark ? "Light" : "Dark"}{" "}
                  theme
                </Command.Item>
              </Command.Group>
              {pipelines.data && pipelines.data.items.length > 0 && (
                <Command.Group heading="Pipelines">
                  {pipelines.data.items.map((p) => (
                    <Command.Item
                      key={p.id}
                      value={`${p.name} ${p.id}`}
                      onSelect={() => go(() => void navigate({ to: "/pipelines/$id", params: { id: p.id } }))}
                    >
                      <Workflow aria-hidden size={16} /> {p.name}
                      <span className="text-soft">{p.project}</span>
                    </Command.Item>
                  ))}
                </Command.Group>
              )}
              {runs.data && runs.data.items.length > 0 && (
                <Command.Group heading="Latest runs">
                  {runs.data.items.map((r) => (
                    <Command.Item
                      key={r.id}
                      value={`${r.pipeline_name} ${r.id} ${r.state}`}
                      onSelect={() => go(() => void navigate({ to: "/runs/$id", params: { id: r.id } }))}
                    >
                      <State state={r.state} /> {r.pipeline_name}
                      <code className="text-xs text-soft">{r.id.slice(-8)}</code>
                    </Command.Item>
                  ))}
                </Command.Group>
              )}
            </Command.List>
          </Command>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
