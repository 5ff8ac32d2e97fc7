import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { ChevronDown, CloudOff, LogOut, Menu, Monitor, Moon, Search, Sun, X } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import { lazy, Suspense, useEffect, useState } from "react";
import { api } from "@/api/client";
import { live, useLink } from "@/api/live";
import { useMay, useMe } from "@/api/me";
import { noteSession } from "@/api/session";
import { Button, IconButton } from "@/kit/button";
import { cx } from "@/kit/class";
import { Loading } from "@/kit/note";
import { patient } from "./patient";
import { places } from "./places";
import { setTheme, type Theme, useTheme } from "./theme";

const Palette = lazy(patient(() => import("./palette")));

// Shell is what is around every page.
export function Shell() {
  const queries = useQueryClient();
  const [menu, setMenu] = useState(false);
  const [palette, setPalette] = useState(false);
  const path = useRouterState({ select: (s) => s.location.pathname });
  useEffect(() => live(queries), [queries]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: whoever goes to another page has done with the menu
  useEffect(() => setMenu(false), [path]);
  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      if (e.key === "k" && (e.metaKey || e.ctrlKey)) {
        e.preventDefault();
        setPalette((open) => !open);
      }
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  return (
    <div className="flex h-full flex-col md:flex-row">
      <a href="#main" className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:bg-raised focus:p-2">
        To the content
      </a>
      <header className="flex items-center gap-2 border-b bg-card px-2 py-1 md:hidden">
        <IconButton
          label={menu ? "Close the menu" : "Open the menu"}
          aria-expanded={menu}
          onClick={() => setMenu(!menu)}
        >
          {menu ? <X aria-hidden size={18} /> : <Menu aria-hidden size={18} />}
        </IconButton>
        <span className="flex-1 font-semibold">GatheRing</span>
        <IconButton label="Search" onClick={() => setPalette(true)}>
          <Search aria-hidden size={18} />
        </IconButton>
      </header>
      <aside
        aria-label="Menu"
        className={cx(
          "w-full shrink-0 flex-col gap-3 overflow-y-auto border-r bg-card p-3 md:flex md:w-52",
          menu ? "flex max-md:absolute max-md:inset-x-0 max-md:top-11 max-md:bottom-0 max-md:z-30" : "hidden",
        )}
      >
        <span className="hidden px-2 text-base font-semibold md:block">GatheRing</span>
        <Button className="!justify-start font-normal text-soft max-md:hidden" onClick={() => setPalette(true)}>
          <Search aria-hidden size={14} />
          <span className="flex-1 text-left">Search</span>
          <kbd className="text-xs">{/Mac|iP/.test(navigator.platform) ? "⌘K" : "Ctrl K"}</kbd>
        </Button>
        <Navigation />
        <div className="flex-1" />
        <Person />
      </aside>
      <div className="flex min-h-0 min-w-0 flex-1 flex-col">
        <Lost />
        <main id="main" tabIndex={-1} className="min-h-0 flex-1 overflow-y-auto outline-none">
          <Suspense fallback={<Loading />}>
            <Outlet />
          </Suspense>
        </main>
      </div>
      {palette && (
        <Suspense fallback={null}>
          <Palette onClose={() => setPalette(false)} />
        </Suspense>
      )}
    </div>
  );
}

function Navigation() {
  const may = useMay();
  return (
    <nav aria-label="Pages" className="flex flex-col gap-3">
      {places.map((group) => (
        <div key={group.title}>
          <h2 className="px-2 pb-1 text-xs font-medium text-soft">{group.title}</h2>
          <ul>
            {group.places
              .filter((p) => !p.action || may(p.action))
              .map(({ to, label, icon: Icon }) => (
                <li key={to}>
                  <Link
                    to={to}
                    activeOptions={{ exact: to === "/", includeSearch: false }}
                    className="flex items-center gap-2 rounded-md px-2 py-1.5 hover:bg-sunken"
                    activeProps={{ className: "bg-accent-soft font-medium text-accent-deep" }}
                  >
                    <Icon aria-hidden size={16} /> {label}
                  </Link>
                </li>
              ))}
          </ul>
        </div>
      ))}
    </nav>
  );
}

// Lost says that what is shown may be out of date.
function Lost() {
  const link = useLink();
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (link === "open") {
      setShown(false);
      return;
    }
    const timer = setTimeout(() => setShown(true), 2_000); // most are back before anybody wonders
    return () => clearTimeout(timer);
  }, [link]);
  if (!shown) return null;
  return (
    <p role="status" className="flex items-center gap-2 bg-wait-soft px-4 py-1.5 text-wait">
      <CloudOff aria-hidden size={16} />
      The service does not answer. What is shown may be out of date; this page goes on by itself once it is back.
    </p>
  );
}

const themes: { theme: Theme; label: string; icon: typeof Sun }[] = [
  { theme: "light", label: "Light", icon: Sun },
  { theme: "dark", label: "Dark", icon: Moon },
  { theme: "system", label: "As the system", icon: Monitor },
];

function Person() {
  const me = useMe();
  const theme = useTheme();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const leave = async () => {
    await api.POST("/api/v1/auth/logout").catch(() => {}); // a session that is over already has ended as well
    noteSession(false);
    await navigate({ to: "/sign-in" });
    queries.clear(); // now that no page asks for anything again
  };
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger className="flex items-center gap-2 rounded-md px-2 py-1.5 text-left hover:bg-sunken">
        <span className="min-w-0 flex-1">
          <span className="block truncate font-medium">{me.user.name || me.user.email}</span>
          <span className="block truncate text-xs text-soft">{me.user.role}</span>
        </span>
        <ChevronDown aria-hidden size={14} />
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="menu" align="start" sideOffset={4}>
          <DropdownMenu.RadioGroup value={theme} onValueChange={(t) => setTheme(t as Theme)}>
            {themes.map(({ theme: value, label, icon: Icon }) => (
              <DropdownMenu.RadioItem
                key={value}
                value={value}
                className="menu-item data-[state=checked]:font-semibold"
              >
                <Icon aria-hidden size={14} /> {label}
                {theme === value && <span className="sr-only">, chosen</span>}
              </DropdownMenu.RadioItem>
            ))}
          </DropdownMenu.RadioGroup>
          <DropdownMenu.Separator className="my-1 border-t" />
          <DropdownMenu.Item className="menu-item" onSelect={() => void navigate({ to: "/account" })}>
            My account
          </DropdownMenu.Item>
          <DropdownMenu.Item className="menu-item" onSelect={() => void leave()}>
            <LogOut aria-hidden size={14} /> Sign out
          </DropdownMenu.Item>
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
