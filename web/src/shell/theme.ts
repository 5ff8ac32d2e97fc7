import { useSyncExternalStore } from "react";

export type Theme = "light" | "dark" | "system";

const watchers = new Set<() => void>();
const system = matchMedia("(prefers-color-scheme: dark)");

function stored(): Theme {
  try {
    const chosen = localStorage.getItem("theme");
    return chosen === "light" || chosen === "dark" ? chosen : "system";
  } catch {
    return "system";
  }
}

let theme = stored();

function draw(): void {
  document.documentElement.classList.toggle("dark", theme === "dark" || (theme === "system" && system.matches));
  for (const w of watchers) w();
}

system.addEventListener("change", draw);

export function setTheme(next: Theme): void {
  theme = next;
  try {
    localStorage.setItem("theme", next);
  } catch {
    // it is forgotten with the page
  }
  draw();
}

function subscribe(changed: () => void): () => void {
  watchers.add(changed);
  return () => watchers.delete(changed);
}

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, () => theme);
}

// useDark reports whether the page is dark now.
export function useDark(): boolean {
  return useSyncExternalStore(subscribe, () => document.documentElement.classList.contains("dark"));
}
