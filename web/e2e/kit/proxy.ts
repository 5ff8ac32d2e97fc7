import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

// A proxy has the service at a path of its host.
export interface Proxy {
  url: string; // of the service, through it
  close: () => Promise<void>;
}

// proxy leads to a service; strip says that it takes the path away.
export async function proxy(to: string, path: string, strip: boolean): Promise<Proxy> {
  const server = createServer((asked, answer) => {
    const url = asked.url ?? "/";
    if (!url.startsWith(`${path}/`)) {
      answer.writeHead(404).end();
      return;
    }
    const on = request(
      new URL(to),
      { method: asked.method, path: strip ? url.slice(path.length) : url, headers: asked.headers },
      (got) => {
        answer.writeHead(got.statusCode ?? 502, got.headers);
        got.pipe(answer);
      },
    );
    on.on("error", () => answer.destroy());
    answer.on("close", () => on.destroy());
    asked.pipe(on);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
