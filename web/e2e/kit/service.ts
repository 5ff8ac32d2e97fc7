import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { inject } from "vitest";
import { Client, data, type Role } from "./client";

// The first administrator of a service, and the password of all its users.
export const admin = "ada@example.com";
export const password = "seven quiet lanterns drift";

const running = new Set<Service>();
process.once("exit", () => {
  for (const s of running) s.remove();
});

interface Options {
  fresh?: boolean; // nobody has set it up
  path?: string; // where a proxy serves it
}

// Service is the program, running on a data directory of its own.
export class Service {
  url = "";
  // said is what it has printed.
  said: string[] = [];
  readonly dir = mkdtempSync(join(tmpdir(), "gathering-e2e-"));
  private process: ChildProcess | undefined;
  private clients = new Map<string, Promise<Client>>();

  private constructor(private readonly options: Options) {}

  static async start(options: Options = {}): Promise<Service> {
    const s = new Service(options);
    running.add(s);
    await s.serve("127.0.0.1:0");
    return s;
  }

  private async serve(addr: string): Promise<void> {
    const plenty = "100000/min";
    const args = ["serve", "--data", this.dir, "--addr", addr, "--drain", "1s"];
    for (const limit of ["sign-in", "write", "read", "token"]) args.push(`--limit-${limit}`, plenty);
    if (this.options.path) args.push("--path", this.options.path);
    const env: Record<string, string | undefined> = { ...process.env };
    for (const name of Object.keys(env)) if (name.startsWith("GATHERING_")) delete env[name];
    env.GATHERING_ALLOW_PRIVATE_NETWORKS = "127.0.0.0/8";
    if (!this.options.fresh) Object.assign(env, { GATHERING_ADMIN_EMAIL: admin, GATHERING_ADMIN_PASSWORD: password });
    const child = spawn(inject("binary"), args, { env, stdio: ["ignore", "ignore", "pipe"] });
    this.process = child;
    this.url = await new Promise<string>((listening, failed) => {
      child.once("error", failed);
      child.once("exit", (code) => failed(new Error(`the service ended with ${code}:\n${this.said.join("\n")}`)));
      createInterface({ input: child.stderr }).on("line", (line) => {
        this.said.push(line);
        const url = /listening on (http:\S+)/.exec(line)?.[1];
        if (url) listening(url);
      });
    });
  }

  // kill ends the program at whatever it is doing.
  async kill(): Promise<void> {
    const child = this.process;
    this.process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  // restart starts the program again, where it was and on the same data.
  async restart(): Promise<void> {
    await this.kill();
    await this.serve(new URL(this.url).host);
  }

  // user makes a user with a role in all projects, whose name is the role's, and returns their address.
  async user(role: Role): Promise<string> {
    const email = `${role}@example.com`;
    const { api } = await this.as(admin);
    await data(api.POST("/api/v1/users", { body: { email, name: role, role, password } }));
    return email;
  }

  // as is the API as one of the users asks it.
  as(email = admin): Promise<Client> {
    const client = this.clients.get(email) ?? Client.signIn(this.url + (this.options.path ?? ""), email, password);
    this.clients.set(email, client);
    return client;
  }

  async stop(): Promise<void> {
    await this.kill();
    this.remove();
  }

  // remove leaves nothing behind.
  remove(): void {
    running.delete(this);
    this.process?.kill("SIGKILL");
    rmSync(this.dir, { recursive: true, force: true });
  }
}
