// History is a stack of texts.
export interface History {
  past: string[];
  text: string;
  future: string[];
  typed: number; // when something was typed last, 0 after any other change
}

const most = 200; // texts that can be come back to
const pause = 900; // a pause in typing after which undo stops, in milliseconds

export const begin = (text: string): History => ({ past: [], text, future: [], typed: 0 });

// change makes text the current one. What is typed without a pause is one step.
export function change(h: History, text: string, typing: boolean, now: number): History {
  if (text === h.text) return h;
  const typed = typing ? now : 0;
  if (typing && h.typed > 0 && now - h.typed < pause) return { ...h, text, future: [], typed };
  return { past: [...h.past.slice(1 - most), h.text], text, future: [], typed };
}

export function undo(h: History): History {
  const text = h.past.at(-1);
  if (text === undefined) return h;
  return { past: h.past.slice(0, -1), text, future: [h.text, ...h.future], typed: 0 };
}

export function redo(h: History): History {
  const [text, ...future] = h.future;
  if (text === undefined) return h;
  return { past: [...h.past, h.text], text, future, typed: 0 };
}
