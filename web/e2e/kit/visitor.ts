import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { admin, password } from "./service";

// shots is where pictures of pages are kept, for people to look at.
export const shots = new URL("../screenshots/", import.meta.url).pathname;

// Visitor is somebody with a browser of their own. What goes wrong in their
// pages is a fault of the test, unless the test has announced it.
export class Visitor {
  page!: Page;
  private troubles: string[] = [];
  private announced: RegExp[] = [];

  private constructor(
    readonly context: BrowserContext,
    readonly home: string, // where the dashboard is
  ) {}

  static async come(browser: Browser, home: string, options: BrowserContextOptions = {}): Promise<Visitor> {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 800 },
      reducedMotion: "reduce",
      ...options,
    });
    context.setDefaultTimeout(10_000);
    const v = new Visitor(context, home);
    await v.watch();
    v.page = await context.newPage();
    return v;
  }

  private async watch(): Promise<void> {
    const { context } = this;
    const trouble = (what: string) => {
      if (!this.announced.some((a) => a.test(what))) this.troubles.push(what);
    };
    context.on("weberror", (e) => trouble(`error: ${e.error().stack ?? e.error().message}`));
    context.on("console", (m) => {
      if (m.type() !== "error" && m.type() !== "warning") return;
      if (m.text().startsWith("Failed to load resource")) return; // told below, with what it was
      trouble(`console: ${m.text()}`);
    });
    context.on("request", (r) => {
      const url = new URL(r.url());
      if (url.protocol !== "data:" && url.origin !== new URL(this.home).origin) trouble(`elsewhere: ${r.url()}`);
    });
    context.on("response", (r) => {
      if (r.status() >= 400) trouble(`${r.status()} ${r.request().method()} ${new URL(r.url()).pathname}`);
    });
    context.on("requestfailed", (r) => {
      const why = r.failure()?.errorText ?? "";
      if (why === "net::ERR_ABORTED") return; // the page itself broke it off
      trouble(`${why} ${r.method()} ${new URL(r.url()).pathname}`);
    });
    await context.exposeFunction("violated", (what: string) => trouble(`policy: ${what}`));
    await context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (e) => {
        const { violated } = globalThis as unknown as { violated: (what: string) => void };
        violated(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`);
      });
    });
  }

  // announce says what will go wrong from now on, and is meant to.
  announce(...what: RegExp[]): void {
    this.announced.push(...what);
  }

  // signIn has them be signed in, without the page for it.
  async signIn(email = admin): Promise<void> {
    const answer = await this.context.request.post(`${this.home}/api/v1/auth/login`, {
      data: { email, password, cookies: true },
    });
    if (!answer.ok()) throw new Error(`${email} cannot sign in: ${await answer.text()}`);
    await this.context.addInitScript(() => {
      if (!location.protocol.startsWith("http") || localStorage.getItem("signed-in") !== null) return;
      localStorage.setItem("signed-in", "yes");
    });
  }

  // open goes to a page of the dashboard, and waits until it is there.
  async open(path: string, page = this.page): Promise<void> {
    await page.goto(this.home + path);
    await this.settled(page);
  }

  // tab opens another page of the same browser.
  async tab(path: string): Promise<Page> {
    const page = await this.context.newPage();
    await this.open(path, page);
    return page;
  }

  // path is where they are within the dashboard.
  get path(): string {
    return this.page.url().slice(this.home.length);
  }

  // title waits for a page by its heading.
  async title(name: string, page = this.page): Promise<void> {
    await page.getByRole("heading", { name, level: 1 }).waitFor();
  }

  // settled waits until a page shows what it is to show.
  async settled(page = this.page): Promise<void> {
    await page.locator("h1").first().waitFor();
    await page.waitForFunction(() => {
      const told = [...document.querySelectorAll("main [role=status]")];
      return told.every((s) => !s.textContent?.endsWith("…")); // as what is being read says
    });
  }

  // shoot keeps a picture of a page.
  async shoot(name: string, page = this.page): Promise<void> {
    await page.screenshot({ path: `${shots}${name.replace(/[^\w-]+/g, "-")}.png` });
  }

  // leave ends it, and throws what went wrong.
  async leave(): Promise<void> {
    await this.context.close();
    if (this.troubles.length > 0) throw new Error(`what nobody announced:\n${this.troubles.join("\n")}`);
  }
}
