import { base } from "@/api/base";

async function answers(): Promise<boolean> {
  const answer = await fetch(`${base}/healthz`, { cache: "no-store" }).catch(() => undefined);
  return answer?.ok ?? false;
}

// patient loads a part of the dashboard. Where the service does not answer it
// waits until it does, and then reads the whole page anew: browsers do not load
// again what they could not load once.
export function patient<T>(load: () => Promise<T>): () => Promise<T> {
  return async () => {
    try {
      return await load();
    } catch (e) {
      if (await answers()) throw e; // the part is gone: it was of another version, and the router sees to it
      do {
        await new Promise((done) => setTimeout(done, 2_000));
      } while (!(await answers()));
      location.reload();
      return new Promise(() => {});
    }
  };
}
