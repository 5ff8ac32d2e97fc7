import {
  Activity,
  Boxes,
  CircuitBoard,
  FolderKanban,
  KeyRound,
  LayoutDashboard,
  type LucideIcon,
  MailX,
  ScrollText,
  Settings2,
  Users,
  Workflow,
} from "lucide-react";

export interface Place {
  to: string;
  label: string;
  icon: LucideIcon;
  action?: string; // that somebody must be allowed to do to see it
  words?: string; // by which it is found as well
}

// places are the pages that the navigation leads to.
export const places: { title: string; places: Place[] }[] = [
  {
    title: "Work",
    places: [
      { to: "/", label: "Overview", icon: LayoutDashboard, words: "home dashboard" },
      {
        to: "/pipelines",
        label: "Pipelines",
        icon: Workflow,
        action: "pipelines.read",
        words: "definitions workflows",
      },
      { to: "/runs", label: "Runs", icon: Activity, action: "runs.read", words: "executions" },
      { to: "/dead-letters", label: "Dead letters", icon: MailX, action: "runs.read", words: "failed redrive" },
    ],
  },
  {
    title: "Installation",
    places: [
      { to: "/projects", label: "Projects", icon: FolderKanban, action: "projects.read", words: "members" },
      { to: "/breakers", label: "Breakers", icon: CircuitBoard, action: "breakers.read", words: "circuit" },
      { to: "/providers", label: "Models", icon: Boxes, action: "catalogue.read", words: "providers keys llm" },
      { to: "/users", label: "Users", icon: Users, action: "users.read", words: "people roles" },
      { to: "/audit", label: "Audit", icon: ScrollText, action: "audit.read", words: "trail log who" },
      { to: "/settings", label: "Settings", icon: Settings2, action: "settings.read", words: "limits health" },
      { to: "/account", label: "My account", icon: KeyRound, words: "password sessions tokens api profile" },
    ],
  },
];
