import { useEffect } from "react";

// A draft is what somebody wrote and did not save. It is kept in this browser,
// for this person, by pipeline and version.
export interface Draft {
  text: string;
  at: string;
}

export const draftKey = (user: string, pipeline: string, version: number): string =>
  `draft:${user}:${pipeline}:${version}`;

export function readDraft(key: string): Draft | undefined {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(key) ?? "null");
    const { text, at } = (kept ?? {}) as Partial<Draft>;
    return typeof text === "string" && typeof at === "string" ? { text, at } : undefined;
  } catch {
    return undefined; // storage is closed to this page, or another program's
  }
}

export function dropDraft(key: string): void {
  try {
    localStorage.removeItem(key);
  } catch {
    // storage is closed to this page: there is no draft
  }
}

// useDraft keeps a text that differs from what is stored, a moment after it changed.
export function useDraft(key: string, text: string, stored: string, on: boolean): void {
  useEffect(() => {
    if (!on) return;
    if (text === stored) {
      dropDraft(key);
      return;
    }
    const timer = setTimeout(() => {
      try {
        localStorage.setItem(key, JSON.stringify({ text, at: new Date().toISOString() }));
      } catch {
        // storage is closed to this page, or full: leaving asks all the same
      }
    }, 400);
    return () => clearTimeout(timer);
  }, [key, text, stored, on]);
}
