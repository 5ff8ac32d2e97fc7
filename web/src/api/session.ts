import { base } from "./base";
import { Problem, problemOf } from "./problem";

// Cookies that no script can read hold the session. The access token in them is
// good for minutes, and renewed by another that is good once: all tabs share
// both, so one at a time renews them, after looking whether another just did.

const refreshPath = `${base}/api/v1/auth/refresh`;

// A note beside the cookies, which no script sees, spares asking who one is
// where nobody is. It decides nothing.
const note = "signed-in";

export function noteSession(there: boolean): void {
  try {
    localStorage.setItem(note, there ? "yes" : "no");
  } catch {
    // without storage it is asked each time
  }
}

// maySession reports whether there may be a session.
export function maySession(): boolean {
  try {
    return localStorage.getItem(note) === "yes";
  } catch {
    return true;
  }
}

let ended = () => {};

// onSessionEnd says what to do once nobody is signed in any more.
export function onSessionEnd(then: () => void): void {
  ended = then;
}

async function reach(input: Request): Promise<Response> {
  try {
    return await fetch(input);
  } catch (e) {
    if (input.signal.aborted) throw e;
    throw new Problem(0, {});
  }
}

let renewing: Promise<boolean> | undefined;

// renew renews the session, and reports whether there is one.
export function renew(): Promise<boolean> {
  renewing ??= exclusively(async () => {
    const me = await reach(new Request(`${base}/api/v1/auth/me`));
    if (me.ok) return true; // another tab was quicker
    const answer = await reach(new Request(refreshPath, { method: "POST" }));
    if (answer.ok) return true;
    if (answer.status === 401 || answer.status === 403) return false;
    throw await problemOf(answer);
  }).finally(() => {
    renewing = undefined;
  });
  return renewing;
}

// Pages that came by plain HTTP from another machine have no locks.
async function exclusively<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks ? navigator.locks.request("session", work) : work();
}

// The longest that a request waits for its turn before that is an error.
const longestTurn = 5_000;

// send asks the service: with a session that is renewed where it is over, and in
// one's turn.
export async function send(input: Request): Promise<Response> {
  let answer = await reach(input.clone());
  const open = /\/api\/v1\/(setup|auth\/(login|refresh))$/.test(new URL(input.url).pathname);
  if (answer.status === 401 && !open) {
    if (!(await renew())) {
      ended();
      return answer;
    }
    answer = await reach(input.clone());
  }
  const turn = Number(answer.headers.get("Retry-After")) * 1000;
  if (answer.status === 429 && turn > 0 && turn <= longestTurn && !open) {
    await new Promise((done) => setTimeout(done, turn));
    return reach(input);
  }
  return answer;
}
