// As much of a browser as the tests need that run without one: a page, its
// storage and its locks. Node's own fetch and streams are like a browser's.
import { beforeEach } from "vitest";

const page = "http://gathering.test/";

class PageRequest extends Request {
  constructor(input: RequestInfo | URL, init?: RequestInit) {
    super(typeof input === "string" ? new URL(input, page) : input, init);
  }
}

const kept = new Map<string, string>();
beforeEach(() => kept.clear());

let held: Promise<unknown> = Promise.resolve();
const events = new EventTarget();

Object.assign(globalThis, {
  Request: PageRequest,
  location: new URL(page),
  document: Object.assign(new EventTarget(), { baseURI: page, visibilityState: "visible", querySelector: () => null }),
  addEventListener: events.addEventListener.bind(events),
  removeEventListener: events.removeEventListener.bind(events),
  dispatchEvent: events.dispatchEvent.bind(events),
  localStorage: {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  },
});
Object.defineProperty(globalThis, "navigator", {
  configurable: true,
  value: {
    locks: {
      // request does one thing after the other.
      request: (_: string, work: () => Promise<unknown>) => {
        const done = held.then(work, work);
        held = done.catch(() => {});
        return done;
      },
    },
  },
});
